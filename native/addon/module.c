#include "addon.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

void tare_define(napi_env env, napi_value exports, const struct tare_function *table, size_t count) {
  for (size_t i = 0; i < count; i++) {
    napi_value function;
    if (napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].call, NULL, &function) != napi_ok)
      return;
    napi_set_named_property(env, exports, table[i].name, function);
  }
}

bool tare_args(napi_env env, napi_callback_info info, napi_value *args, size_t count) {
  size_t given = count;
  return napi_get_cb_info(env, info, &given, args, NULL, NULL) == napi_ok && given >= count;
}

int tare_int(napi_env env, napi_value value, int64_t *out) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok) return -EINVAL;
  if (type == napi_number) {
    double number;
    if (napi_get_value_double(env, value, &number) != napi_ok) return -EINVAL;
    if (!(number >= -9007199254740991.0 && number <= 9007199254740991.0) || number != (double)(int64_t)number)
      return -EINVAL;
    *out = (int64_t)number;
    return 0;
  }
  bool lossless;
  uint64_t bits;
  if (type != napi_bigint) return -EINVAL;
  if (napi_get_value_bigint_int64(env, value, out, &lossless) == napi_ok && lossless) return 0;
  if (napi_get_value_bigint_uint64(env, value, &bits, &lossless) != napi_ok || !lossless) return -EINVAL;
  *out = (int64_t)bits;
  return 0;
}

int tare_bytes(napi_env env, napi_value value, void **data, size_t *length) {
  napi_valuetype type;
  bool is_view = false;
  *data = NULL;
  *length = 0;
  if (napi_typeof(env, value, &type) != napi_ok) return -EINVAL;
  if (type == napi_null || type == napi_undefined) return 0;
  if (napi_is_buffer(env, value, &is_view) != napi_ok || !is_view) return -EINVAL;
  return napi_get_buffer_info(env, value, data, length) == napi_ok ? 0 : -EINVAL;
}

int tare_string(napi_env env, napi_value value, char *out, size_t size) {
  napi_valuetype type;
  size_t length;
  if (napi_typeof(env, value, &type) != napi_ok) return -EINVAL;
  if (type == napi_string) {
    /* Node cuts what does not fit: a full buffer means "perhaps longer". */
    if (napi_get_value_string_utf8(env, value, out, size, &length) != napi_ok) return -EINVAL;
    if (length + 4 >= size) return -ENAMETOOLONG;
  } else {
    void *data;
    if (tare_bytes(env, value, &data, &length) < 0 || data == NULL) return -EINVAL;
    if (length + 4 >= size) return -ENAMETOOLONG;
    memcpy(out, data, length);
    out[length] = '\0';
  }
  return strlen(out) == length ? 0 : -EINVAL;
}

napi_value tare_number(napi_env env, int64_t value) {
  napi_value result = NULL;
  napi_create_double(env, (double)value, &result);
  return result;
}

void tare_block_signals(uint64_t *saved) {
  uint64_t all = ~0ull;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, saved, sizeof(all));
}

void tare_restore_signals(const uint64_t *saved) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, saved, NULL, sizeof(*saved));
}

int tare_vfork(int (*child)(void *), void *arg, int flags) {
  const size_t stack_bytes = 64 * 1024;
  char *stack =
      mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return -errno;
  uint64_t saved;
  tare_block_signals(&saved);
  pid_t pid = clone(child, stack + stack_bytes, CLONE_VM | CLONE_VFORK | flags, arg);
  int result = pid < 0 ? -errno : 0;
  if (pid > 0)
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
      continue;
  tare_restore_signals(&saved);
  munmap(stack, stack_bytes);
  return result;
}

static napi_value init(napi_env env, napi_value exports) {
  tare_calls_init(env, exports);
  tare_spawn_init(env, exports);
  tare_socket_init(env, exports);
  tare_wait_init(env, exports);
  tare_watch_init(env, exports);
  tare_bpf_init(env, exports);
  tare_map_init(env, exports);
  tare_remove_init(env, exports);
  tare_userns_init(env, exports);
  tare_netns_init(env, exports);
  tare_aside_init(env, exports);
  if (tare_apply_init) tare_apply_init(env, exports);
  return exports;
}

NAPI_MODULE(tare, init)
