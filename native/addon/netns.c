/* Another network namespace, for a moment: what is opened there stays open here. */
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

struct visit {
  /* Of the namespace; less than 0: a new one. */
  int netns;
  int domain, type, protocol;
  /* A file instead of a socket. */
  char path[PATH_MAX + 8];
  int flags;
  int result;
};

static int visit(void *arg) {
  struct visit *v = arg;
  if ((v->netns < 0 ? unshare(CLONE_NEWNET) : setns(v->netns, CLONE_NEWNET)) < 0)
    v->result = -errno;
  else if ((v->result = v->path[0] ? open(v->path, v->flags | O_CLOEXEC)
                                   : socket(v->domain, v->type | SOCK_CLOEXEC, v->protocol)) < 0)
    v->result = -errno;
  _exit(0);
}

static napi_value go(napi_env env, struct visit *v) {
  int error = tare_vfork(visit, v, CLONE_FILES);
  return tare_number(env, error ? error : v->result);
}

/* socketIn(netns, domain, type, protocol): a socket in that namespace; -1: in a new one, which is there as
 * long as the socket. */
static napi_value socket_in(napi_env env, napi_callback_info info) {
  napi_value args[4];
  int64_t numbers[4];
  struct visit v = {0};
  if (!tare_args(env, info, args, 4)) return tare_number(env, -EINVAL);
  for (int i = 0; i < 4; i++)
    if (tare_int(env, args[i], &numbers[i]) < 0) return tare_number(env, -EINVAL);
  v.netns = (int)numbers[0];
  v.domain = (int)numbers[1];
  v.type = (int)numbers[2];
  v.protocol = (int)numbers[3];
  return go(env, &v);
}

/* openIn(netns, path, flags): a file as it is seen from that namespace, below /proc/sys/net. */
static napi_value open_in(napi_env env, napi_callback_info info) {
  napi_value args[3];
  int64_t netns, flags;
  struct visit v = {0};
  if (!tare_args(env, info, args, 3) || tare_int(env, args[0], &netns) < 0 ||
      tare_int(env, args[2], &flags) < 0)
    return tare_number(env, -EINVAL);
  int error = tare_string(env, args[1], v.path, sizeof(v.path));
  if (error || !v.path[0]) return tare_number(env, error ? error : -EINVAL);
  v.netns = (int)netns;
  v.flags = (int)flags;
  return go(env, &v);
}

void tare_netns_init(napi_env env, napi_value exports) {
  static const struct tare_function table[] = {{"socketIn", socket_in}, {"openIn", open_in}};
  tare_define(env, exports, table, sizeof(table) / sizeof(table[0]));
}
