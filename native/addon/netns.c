/* Another namespace, for a moment: what is opened there stays open here. */
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct visit {
  /* A namespace of that type; less than 0: a new one, whose owner is that user namespace, or ours. */
  int ns, type_of_ns, owner;
  int domain, type, protocol;
  /* A file instead of a socket. */
  char path[PATH_MAX + 8];
  int flags;
  /* A copy of the mount there instead of a file. */
  bool clones;
  int result;
};

static int open_there(const struct visit *v) {
  if (v->clones) return (int)syscall(SYS_open_tree, AT_FDCWD, v->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (v->path[0]) return open(v->path, v->flags | O_CLOEXEC);
  return socket(v->domain, v->type | SOCK_CLOEXEC, v->protocol);
}

static int visit(void *arg) {
  struct visit *v = arg;
  if ((v->owner >= 0 && setns(v->owner, CLONE_NEWUSER) < 0) ||
      (v->ns < 0 ? unshare(v->type_of_ns) : setns(v->ns, v->type_of_ns)) < 0 ||
      (v->result = open_there(v)) < 0)
    v->result = -errno;
  _exit(0);
}

static napi_value go(napi_env env, struct visit *v) {
  int error = tare_vfork(visit, v, CLONE_FILES);
  return tare_number(env, error ? error : v->result);
}

/* socketIn(netns, domain, type, protocol, userns): a socket in that namespace; -1: in a new one, which is
 * there as long as the socket, and belongs to that user namespace; -1: to ours. */
static napi_value socket_in(napi_env env, napi_callback_info info) {
  napi_value args[5];
  int64_t numbers[5];
  struct visit v = {.type_of_ns = CLONE_NEWNET};
  if (!tare_args(env, info, args, 5)) return tare_number(env, -EINVAL);
  for (int i = 0; i < 5; i++)
    if (tare_int(env, args[i], &numbers[i]) < 0) return tare_number(env, -EINVAL);
  v.ns = (int)numbers[0];
  v.domain = (int)numbers[1];
  v.type = (int)numbers[2];
  v.protocol = (int)numbers[3];
  v.owner = (int)numbers[4];
  return go(env, &v);
}

static napi_value path_there(napi_env env, napi_callback_info info, bool clones) {
  napi_value args[3];
  int64_t ns, flags = 0;
  struct visit v = {.type_of_ns = clones ? CLONE_NEWNS : CLONE_NEWNET, .owner = -1, .clones = clones};
  if (!tare_args(env, info, args, clones ? 2 : 3) || tare_int(env, args[0], &ns) < 0 || ns < 0 ||
      (!clones && tare_int(env, args[2], &flags) < 0))
    return tare_number(env, -EINVAL);
  int error = tare_string(env, args[1], v.path, sizeof(v.path));
  if (error || !v.path[0]) return tare_number(env, error ? error : -EINVAL);
  v.ns = (int)ns;
  v.flags = (int)flags;
  return go(env, &v);
}

/* openIn(netns, path, flags): a file as it is seen from that namespace, below /proc/sys/net. */
static napi_value open_in(napi_env env, napi_callback_info info) {
  return path_there(env, info, false);
}

/* cloneIn(mntns, path): a detached copy of what is mounted at a path of that mount namespace. */
static napi_value clone_in(napi_env env, napi_callback_info info) {
  return path_there(env, info, true);
}

TARE_FUNCTIONS(netns, {"socketIn", socket_in}, {"openIn", open_in}, {"cloneIn", clone_in})
