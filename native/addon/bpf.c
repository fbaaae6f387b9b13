/* The BPF commands whose attributes hold pointers. */
#include "addon.h"
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* bpfProgLoad(type, instructions, license, log or null): fd of the program. A log asks the verifier to
 * explain. */
static napi_value prog_load(napi_env env, napi_callback_info info) {
  napi_value args[4];
  int64_t type;
  void *code, *log;
  size_t code_bytes, log_bytes;
  char license[64];
  if (!tare_args(env, info, args, 4) || tare_int(env, args[0], &type) < 0 ||
      tare_bytes(env, args[1], &code, &code_bytes) < 0 ||
      tare_string(env, args[2], license, sizeof(license)) < 0 ||
      tare_bytes(env, args[3], &log, &log_bytes) < 0)
    return tare_number(env, -EINVAL);
  if (!code || code_bytes % sizeof(struct bpf_insn)) return tare_number(env, -EINVAL);
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.prog_type = (uint32_t)type;
  attr.insns = (uintptr_t)code;
  attr.insn_cnt = (uint32_t)(code_bytes / sizeof(struct bpf_insn));
  attr.license = (uintptr_t)license;
  attr.log_buf = (uintptr_t)log;
  attr.log_size = (uint32_t)log_bytes;
  attr.log_level = log ? 1 : 0;
  long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
  return tare_number(env, fd < 0 ? -errno : fd);
}

/* bpfProgQuery(cgroup, attach type, Uint32Array ids): how many programs are attached; their ids fill the
 * array. */
static napi_value prog_query(napi_env env, napi_callback_info info) {
  napi_value args[3];
  int64_t cgroup, type;
  void *ids;
  size_t bytes;
  if (!tare_args(env, info, args, 3) || tare_int(env, args[0], &cgroup) < 0 ||
      tare_int(env, args[1], &type) < 0 || tare_bytes(env, args[2], &ids, &bytes) < 0)
    return tare_number(env, -EINVAL);
  union bpf_attr attr;
  memset(&attr, 0, sizeof(attr));
  attr.query.target_fd = (uint32_t)cgroup;
  attr.query.attach_type = (uint32_t)type;
  attr.query.prog_ids = (uintptr_t)ids;
  attr.query.prog_cnt = (uint32_t)(bytes / sizeof(uint32_t));
  long result = syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr));
  return tare_number(env, result < 0 ? -errno : (int64_t)attr.query.prog_cnt);
}

TARE_FUNCTIONS(bpf, {"bpfProgLoad", prog_load}, {"bpfProgQuery", prog_query})
