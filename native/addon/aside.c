/* What makes the kernel work for a while, and nobody has to wait for: somebody else does it. */
#include "addon.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Used by one at a time: the kernel clears it when that one no longer runs on the stack. */
static pid_t closing;
static bool let_go;
static char stack[16 * 1024] __attribute__((aligned(16)));

struct aside {
  int fd;
  int result;
};

/* It runs in our memory, beside us and maybe longer: nothing here may touch what others use, errno included.
 */
static int closer(void *arg) {
  const int fd = (int)(intptr_t)arg;
  /* The caller is not to be the last; it may have been killed. */
  const struct timespec moment = {.tv_nsec = 1000 * 1000};
  for (int patience = 1000; patience > 0 && !__atomic_load_n(&let_go, __ATOMIC_SEQ_CST); patience--)
    syscall(SYS_nanosleep, &moment, NULL);
  syscall(SYS_close, fd);
  syscall(SYS_exit, 0);
  return 0;
}

/* Its end makes the closer a child of nobody's: the caller has none to wait for. */
static int parting(void *arg) {
  struct aside *a = arg;
  const int flags = CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD;
  /* Ours are copies: none, of a lock for one, is to live longer than the caller's. */
  if (a->fd > 0) syscall(SYS_close_range, 0, a->fd - 1, 0);
  syscall(SYS_close_range, a->fd + 1, ~0u, 0);
  void *copied = (void *)(intptr_t)a->fd;
  if (clone(closer, stack + sizeof(stack), flags, copied, NULL, NULL, &closing) < 0) a->result = -errno;
  _exit(0);
}

/* closeAside(fd): closes it without waiting for what that sets off. */
static napi_value close_aside(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int64_t fd;
  pid_t nobody = 0;
  if (!tare_args(env, info, args, 1) || tare_int(env, args[0], &fd) < 0 || fd < 0)
    return tare_number(env, -EINVAL);
  if (__atomic_compare_exchange_n(&closing, &nobody, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    struct aside a = {.fd = (int)fd};
    __atomic_store_n(&let_go, false, __ATOMIC_SEQ_CST);
    if (tare_vfork(parting, &a, 0) < 0 || a.result < 0) __atomic_store_n(&closing, 0, __ATOMIC_SEQ_CST);
  }
  int result = close((int)fd) < 0 ? -errno : 0;
  __atomic_store_n(&let_go, true, __ATOMIC_SEQ_CST);
  return tare_number(env, result);
}

bool tare_has_orphan;

/* Memory is taken down by the last who has it: that takes milliseconds. Whoever waits for us does not wait
 * for this one, which has nothing but a descriptor that says that we are gone, and keeps no directory busy.
 */
static int keeper(void *arg) {
  struct pollfd us = {.fd = 0, .events = POLLIN};
  const struct timespec patience = {.tv_sec = 1};
  (void)arg;
  syscall(SYS_ppoll, &us, 1, &patience, NULL, 0);
  syscall(SYS_exit, 0);
  return 0;
}

static int leaving(void *arg) {
  static char room[4 * 1024] __attribute__((aligned(16)));
  const pid_t *us = arg;
  syscall(SYS_close_range, 0, ~0u, 0);
  if (syscall(SYS_chdir, "/") == 0 && syscall(SYS_pidfd_open, *us, 0) == 0)
    clone(keeper, room + sizeof(room), CLONE_VM | SIGCHLD, NULL);
  _exit(0);
}

/* leave(code): ends this process. */
static napi_value leave(napi_env env, napi_callback_info info) {
  napi_value args[1];
  int64_t code;
  pid_t us = getpid();
  if (!tare_args(env, info, args, 1) || tare_int(env, args[0], &code) < 0) return tare_number(env, -EINVAL);
  if (tare_has_orphan) tare_vfork(leaving, &us, 0);
  syscall(SYS_exit_group, (int)code);
  return NULL;
}

TARE_FUNCTIONS(aside, {"closeAside", close_aside}, {"leave", leave})
