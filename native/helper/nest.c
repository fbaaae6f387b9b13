/* What a container needs to start again. A detached mount can be attached once, so the Plan's mounts are
 * attached in a mount namespace nobody lives in, and cloned from there for each start. */
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>

#include "monitor.h"
#include "mount.h"

static bool is_mount(const struct op *op) {
  return op->code == OP_ROOT || op->code == OP_MOUNT_FD;
}

/* A small file system attached at `path`, for a mount point each. */
static int make_floor(const char *path) {
  SCOPED_FD fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
  SCOPED_FD at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fs < 0 || at < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return -1;
  SCOPED_FD floor = fsmount(fs, FSMOUNT_CLOEXEC, 0);
  return floor < 0 || mount_attach(floor, at) < 0 ? -1 : fd_take(&floor);
}

static int attach_at(int floor, int mount, uint32_t number) {
  struct stat st;
  struct text name = {0};
  text_num(&name, number);
  if (fstat(mount, &st) < 0) return -1;
  if (S_ISDIR(st.st_mode) ? mkdirat(floor, name.s, 0700) < 0 : mknodat(floor, name.s, S_IFREG | 0600, 0) < 0)
    return -1;
  SCOPED_FD target = openat(floor, name.s, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  return target < 0 ? -1 : mount_attach(mount, target);
}

/* In the namespace that is to keep them. */
static int settle(struct monitor *m) {
  struct mount_attr slave = {.propagation = PROPAGATION_SLAVE};
  struct cursor c = plan_begin(&m->main.plan);
  struct op op;
  if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &slave, sizeof slave) < 0) return -1;
  if (!plan_find(&m->main.plan, OP_ROOT, &op)) return 0;
  SCOPED_FD floor = make_floor(op.f[1].s);
  if (floor < 0) return -1;
  for (uint32_t slot = 0; plan_next(&c, &op) == 1;) {
    if (!is_mount(&op)) continue;
    m->main.fail.step = op.index;
    if (attach_at(floor, op.f[0].fd, slot++) < 0) return -1;
  }
  m->main.fail.step = NO_STEP;
  m->nest.inside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  return m->nest.inside < 0 ? -1 : 0;
}

int nest_make(struct monitor *m) {
  m->nest.outside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (m->nest.outside < 0 || unshare(CLONE_NEWNS) < 0) return -1;
  int r = settle(m), err = errno;
  if (setns(m->nest.outside, CLONE_NEWNS) < 0) return -1;
  if (r < 0) return fail_with(err);
  for (uint32_t i = 0; i < m->main.plan.nfds; i++)
    m->nest.kept[i] = m->main.plan.fds[i];
  return 0;
}

static int clone_mounts(struct monitor *m) {
  struct cursor c = plan_begin(&m->main.plan);
  struct op op;
  while (plan_next(&c, &op) == 1)
    for (uint32_t i = 0; is_mount(&op) && i < m->main.plan.nfds; i++) {
      if (m->main.plan.fds[i] != m->nest.kept[i] || m->nest.kept[i] != op.f[0].fd) continue;
      int fd = open_tree(op.f[0].fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
      if (fd < 0) return -1;
      m->main.plan.fds[i] = fd;
      break;
    }
  return 0;
}

int nest_clone(struct monitor *m) {
  if (setns(m->nest.inside, CLONE_NEWNS) < 0) return -1;
  int r = clone_mounts(m), err = errno;
  if (setns(m->nest.outside, CLONE_NEWNS) < 0) return -1;
  /* What is handed out is what the container lives on. */
  struct op op;
  if (plan_find(&m->main.plan, OP_ROOTFS, &op)) m->rootfs = fcntl(op.f[0].fd, F_DUPFD_CLOEXEC, 3);
  return r < 0 ? fail_with(err) : 0;
}

void nest_drop_clones(struct monitor *m) {
  for (uint32_t i = 0; i < m->main.plan.nfds; i++) {
    if (m->main.plan.fds[i] == m->nest.kept[i]) continue;
    close(m->main.plan.fds[i]);
    m->main.plan.fds[i] = m->nest.kept[i];
  }
}
