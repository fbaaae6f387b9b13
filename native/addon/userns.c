/* A user namespace by its descriptor, for what maps the ids of mounts. */
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct maps {
  /* The kernel takes less than a page. */
  char uids[PATH_MAX], gids[PATH_MAX];
  int result;
};

/* The namespace is there as long as this process or a descriptor of it is. It shares our memory, errno too.
 */
static int keep(void *arg) {
  (void)arg;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;)
    syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
  return 0;
}

static int open_of(pid_t pid, const char *name, int flags) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
  int fd = open(path, flags | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

static int write_map(pid_t pid, const char *name, const char *map) {
  int fd = open_of(pid, name, O_WRONLY);
  if (fd < 0) return fd;
  int error = write(fd, map, strlen(map)) < 0 ? -errno : 0;
  close(fd);
  return error;
}

/* Between us, who are suspended, and the namespace: only from outside it can be given more than one id. */
static int make(void *arg) {
  struct maps *m = arg;
  char stack[16 * 1024] __attribute__((aligned(16)));
  pid_t pid = clone(keep, stack + sizeof(stack), CLONE_VM | CLONE_NEWUSER | SIGCHLD, NULL);
  if (pid < 0) {
    m->result = -errno;
    _exit(0);
  }
  m->result = write_map(pid, "uid_map", m->uids);
  if (!m->result) m->result = write_map(pid, "gid_map", m->gids);
  if (!m->result) m->result = open_of(pid, "ns/user", O_RDONLY);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, __WALL);
  _exit(0);
}

/* userNamespace(uid_map, gid_map): the descriptor of a new user namespace with these maps, without a process.
 */
static napi_value user_namespace(napi_env env, napi_callback_info info) {
  napi_value args[2];
  struct maps m = {.result = -EINVAL};
  if (!tare_args(env, info, args, 2)) return tare_number(env, -EINVAL);
  int error = tare_string(env, args[0], m.uids, sizeof(m.uids));
  if (!error) error = tare_string(env, args[1], m.gids, sizeof(m.gids));
  if (!error) error = tare_vfork(make, &m, CLONE_FILES);
  return tare_number(env, error ? error : m.result);
}

TARE_FUNCTIONS(userns, {"userNamespace", user_namespace})
