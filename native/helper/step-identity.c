/* Who the process is: ids, capabilities, where it stands. */
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "init.h"

#define CAP_LAST_POSSIBLE 63

struct cap_sets {
  uint64_t effective, permitted, inheritable;
};

static int caps_get(struct cap_sets *sets) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  if (syscall(SYS_capget, &head, d) < 0) return -1;
  sets->effective = d[0].effective | (uint64_t)d[1].effective << 32;
  sets->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
  sets->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
  return 0;
}

static int caps_set(const struct cap_sets *sets) {
  struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {
      {(uint32_t)sets->effective, (uint32_t)sets->permitted, (uint32_t)sets->inheritable},
      {(uint32_t)(sets->effective >> 32), (uint32_t)(sets->permitted >> 32),
       (uint32_t)(sets->inheritable >> 32)}};
  return (int)syscall(SYS_capset, &head, d);
}

/* A change of credentials turns the parent-death signal off and may turn dumpable on. */
static int rearm(struct init *in) {
  undumpable();
  return in->pdeathsig ? prctl(PR_SET_PDEATHSIG, in->pdeathsig, 0, 0, 0) : 0;
}

int step_pdeathsig(struct init *in, const struct op *op) {
  in->pdeathsig = (uint32_t)op->f[0].n;
  return rearm(in);
}

int step_caps_bounding(const struct op *op) {
  for (unsigned cap = 0; cap <= CAP_LAST_POSSIBLE; cap++) {
    if (op->f[0].n >> cap & 1) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return 0; /* beyond the last one this kernel knows */
    if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 0) return -1;
  }
  return 0;
}

/* The directory we stand in must be inside our root: an outside one reads as "(unreachable)" or not at all.
 */
static int check_cwd(void) {
  char path[PATH_MAX];
  long n = syscall(SYS_getcwd, path, sizeof path);
  if (n < 0) return -1;
  return path[0] == '/' ? 0 : fail_with(EXDEV);
}

int step_cwd(struct init *in, const struct op *op) {
  SCOPED_FD dir = path_find(init_root(in), op->f[0].s, O_DIRECTORY);
  if (dir < 0 || fchdir(dir) < 0) return -1;
  in->has_cwd = true;
  return check_cwd();
}

int step_user(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  uid_t uid = (uid_t)f[0].n;
  gid_t gid = (gid_t)f[1].n;
  /* The container's user may open its own /dev/stdout again: the pipes we made belong to it. */
  for (int i = 0; in->chown_stdio && i < 3; i++)
    if (in->stdio[i] >= 0 && fchown(in->stdio[i], uid, gid) < 0 && errno != EPERM && errno != EINVAL)
      return -1;
  size_t count = f[2].len / 4;
  gid_t *groups = NULL;
  if (count) {
    groups = malloc(f[2].len);
    if (!groups) return -1;
    memcpy(groups, f[2].s, f[2].len);
  }
  /* Where setgroups is denied (a single-id user namespace) nothing can be dropped: it must be no more than
   * the group itself that is asked for. */
  int r = setgroups(count, groups);
  bool only_own = true;
  for (size_t i = 0; i < count; i++)
    only_own &= groups[i] == gid;
  free(groups);
  if (r < 0 && !(errno == EPERM && only_own)) return -1;
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return -1;
  if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) return -1;
  struct cap_sets sets;
  if (caps_get(&sets) < 0) return -1;
  if (sets.effective != sets.permitted) {
    sets.effective = sets.permitted;
    if (caps_set(&sets) < 0) return -1;
  }
  if (f[3].n != KEEP_ID) in->umask = (uint32_t)f[3].n & 0777;
  if (rearm(in) < 0) return -1;
  return in->has_cwd ? check_cwd() : 0;
}

int step_caps(struct init *in, const struct op *op) {
  struct cap_sets have, want;
  if (caps_get(&have) < 0) return -1;
  /* What this machine does not grant us cannot be passed on. */
  want.permitted = op->f[1].n & have.permitted;
  want.effective = op->f[0].n & want.permitted;
  want.inheritable = op->f[2].n & have.permitted;
  uint64_t ambient = op->f[3].n & want.permitted & want.inheritable;
  if (caps_set(&want) < 0) return -1;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) return -1;
  for (unsigned cap = 0; cap <= CAP_LAST_POSSIBLE; cap++)
    if (ambient >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0) return -1;
  return rearm(in);
}
