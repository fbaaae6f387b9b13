/* System calls that need nothing but their arguments: one line each in the table. */
#include "addon.h"
#include ERRNO_NAMES
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { max_strings = 4, string_bytes = PATH_MAX + 8, max_args = 6 };

/*
 * args, one letter each: i integer, s string, z string or null, b bytes (the kernel gets pointer and length;
 * null: NULL and 0), p bytes (pointer only, at least `room` bytes). `later` runs on a pool thread and returns
 * a promise; it may only take integers.
 */
struct call {
  const char *name;
  long number;
  const char *args;
  size_t room;
  bool later;
};

static const struct call calls[] = {
    {"close", SYS_close, "i", 0, false},
    {"read", SYS_read, "ib", 0, false},
    {"write", SYS_write, "ib", 0, false},
    {"fcntl", SYS_fcntl, "iii", 0, false},
    {"fcntlLock", SYS_fcntl, "iip", 32, false},
    {"ioctl", SYS_ioctl, "iip", 64, false},
    {"ioctlNumber", SYS_ioctl, "iii", 0, false},
    {"ftruncate", SYS_ftruncate, "ii", 0, false},
    {"syncfs", SYS_syncfs, "i", 0, false},
    {"syncfsLater", SYS_syncfs, "i", 0, true},
    /* Names and metadata. */
    {"openat2", SYS_openat2, "isb", 0, false},
    {"mkdirat", SYS_mkdirat, "isi", 0, false},
    {"mknodat", SYS_mknodat, "isii", 0, false},
    {"symlinkat", SYS_symlinkat, "sis", 0, false},
    {"linkat", SYS_linkat, "isisi", 0, false},
    {"unlinkat", SYS_unlinkat, "isi", 0, false},
    {"renameat2", SYS_renameat2, "isisi", 0, false},
    {"readlinkat", SYS_readlinkat, "isb", 0, false},
    {"fchownat", SYS_fchownat, "isiii", 0, false},
    {"fchmod", SYS_fchmod, "ii", 0, false},
    {"fchmodat", SYS_fchmodat, "isi", 0, false},
    {"utimensat", SYS_utimensat, "izpi", 32, false},
    {"statx", SYS_statx, "isiip", 256, false},
    {"fstatfs", SYS_fstatfs, "ip", 120, false},
    {"fgetxattr", SYS_fgetxattr, "isb", 0, false},
    {"fsetxattr", SYS_fsetxattr, "isbi", 0, false},
    {"flistxattr", SYS_flistxattr, "ib", 0, false},
    {"fremovexattr", SYS_fremovexattr, "is", 0, false},
    {"lgetxattr", SYS_lgetxattr, "ssb", 0, false},
    {"lsetxattr", SYS_lsetxattr, "ssbi", 0, false},
    {"llistxattr", SYS_llistxattr, "sb", 0, false},
    {"lremovexattr", SYS_lremovexattr, "ss", 0, false},
    /* Mounts. */
    {"openTree", SYS_open_tree, "isi", 0, false},
    {"moveMount", SYS_move_mount, "isisi", 0, false},
    {"mountSetattr", SYS_mount_setattr, "isib", 0, false},
    {"fsopen", SYS_fsopen, "si", 0, false},
    {"fsconfig", SYS_fsconfig, "iizzi", 0, false},
    {"fsmount", SYS_fsmount, "iii", 0, false},
    {"mount", SYS_mount, "zsziz", 0, false},
    {"umount2", SYS_umount2, "si", 0, false},
    /* Memory files, processes, sockets. */
    {"memfdCreate", SYS_memfd_create, "si", 0, false},
    {"pidfdOpen", SYS_pidfd_open, "ii", 0, false},
    {"pidfdSendSignal", SYS_pidfd_send_signal, "iizi", 0, false},
    {"socket", SYS_socket, "iii", 0, false},
    {"socketpair", SYS_socketpair, "iiip", 8, false},
    {"connect", SYS_connect, "ib", 0, false},
    {"bind", SYS_bind, "ib", 0, false},
    {"listen", SYS_listen, "ii", 0, false},
    {"getsockopt", SYS_getsockopt, "iiipp", 4, false},
    {"setsockopt", SYS_setsockopt, "iiib", 0, false},
    /* Feature probes and BPF commands whose attributes hold no pointer. */
    {"bpf", SYS_bpf, "ib", 0, false},
    {"seccomp", SYS_seccomp, "iip", 4, false},
    {"landlockCreateRuleset", SYS_landlock_create_ruleset, "bi", 0, false},
    {"clone3", SYS_clone3, "b", 0, false},
};

struct later {
  napi_async_work work;
  napi_deferred deferred;
  long number;
  long args[max_args];
  long result;
};

static void later_run(napi_env env, void *data) {
  (void)env;
  struct later *later = data;
  long *a = later->args;
  later->result = syscall(later->number, a[0], a[1], a[2], a[3], a[4], a[5]);
  if (later->result < 0) later->result = -errno;
}

static void later_done(napi_env env, napi_status status, void *data) {
  struct later *later = data;
  napi_value value = tare_number(env, status == napi_cancelled ? -ECANCELED : later->result);
  napi_resolve_deferred(env, later->deferred, value);
  napi_delete_async_work(env, later->work);
  free(later);
}

static napi_value start_later(napi_env env, const struct call *call, const long *args) {
  struct later *later = calloc(1, sizeof(*later));
  napi_value promise, name;
  if (!later) return tare_number(env, -ENOMEM);
  later->number = call->number;
  memcpy(later->args, args, sizeof(later->args));
  napi_create_string_utf8(env, call->name, NAPI_AUTO_LENGTH, &name);
  if (napi_create_promise(env, &later->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, NULL, name, later_run, later_done, later, &later->work) != napi_ok) {
    free(later);
    return tare_number(env, -ENOMEM);
  }
  napi_queue_async_work(env, later->work);
  return promise;
}

static napi_value dispatch(napi_env env, napi_callback_info info) {
  napi_value values[max_args];
  size_t given = max_args;
  void *data;
  if (napi_get_cb_info(env, info, &given, values, NULL, &data) != napi_ok) return NULL;
  const struct call *call = data;
  char strings[max_strings][string_bytes];
  long args[max_args] = {0};
  int strings_used = 0, n = 0, error = 0;
  size_t count = strlen(call->args);
  if (given < count) return tare_number(env, -EINVAL);
  for (size_t i = 0; i < count && !error; i++) {
    void *bytes;
    size_t length;
    int64_t number;
    napi_valuetype type;
    switch (call->args[i]) {
    case 'i':
      error = tare_int(env, values[i], &number);
      if (!error) args[n++] = (long)number;
      break;
    case 'z':
      if (napi_typeof(env, values[i], &type) == napi_ok && (type == napi_null || type == napi_undefined)) {
        args[n++] = 0;
        break;
      }
      /* fall through */
    case 's':
      error = tare_string(env, values[i], strings[strings_used], string_bytes);
      args[n++] = (long)strings[strings_used++];
      break;
    default:
      error = tare_bytes(env, values[i], &bytes, &length);
      if (!error && call->args[i] == 'p' && bytes && length < call->room) error = -EINVAL;
      args[n++] = (long)bytes;
      if (call->args[i] == 'b') args[n++] = (long)length;
    }
  }
  if (error) return tare_number(env, error);
  if (call->later) return start_later(env, call, args);
  long result = syscall(call->number, args[0], args[1], args[2], args[3], args[4], args[5]);
  return tare_number(env, result < 0 ? -errno : result);
}

/* "ENOENT No such file or directory"; undefined for a number libc does not know. */
static napi_value errno_text(napi_env env, napi_callback_info info) {
  napi_value argument, result = NULL;
  int64_t number;
  if (!tare_args(env, info, &argument, 1) || tare_int(env, argument, &number) < 0) return NULL;
  size_t known = sizeof(errno_names) / sizeof(errno_names[0]);
  const char *name = number > 0 && (size_t)number < known ? errno_names[number] : NULL;
  char line[160], buffer[128];
  if (!name) return NULL;
  int length = snprintf(line, sizeof(line), "%s %s", name, strerror_r((int)number, buffer, sizeof(buffer)));
  if (length < 0 || (size_t)length >= sizeof(line)) return NULL;
  napi_create_string_utf8(env, line, (size_t)length, &result);
  return result;
}

void tare_calls_init(napi_env env, napi_value exports) {
  enum { count = sizeof(calls) / sizeof(calls[0]) };
  for (size_t i = 0; i < count; i++) {
    napi_value function;
    void *data = (void *)&calls[i];
    if (napi_create_function(env, calls[i].name, NAPI_AUTO_LENGTH, dispatch, data, &function) != napi_ok)
      return;
    napi_set_named_property(env, exports, calls[i].name, function);
  }
  static const struct tare_function table[] = {{"errnoText", errno_text}};
  tare_define(env, exports, table, 1);
}
