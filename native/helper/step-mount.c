/* Mounts: made, changed and attached only as descriptors. */
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "init.h"
#include "mount.h"

#define DETACH 2
#define PROPAGATION_RECURSIVE 16384u
#define NULL_DEVICE makedev(1, 3)

static int clone_tree(int fd, unsigned recursive) {
  return open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
}

static int set_attr(int fd, uint64_t set, uint64_t clear, uint64_t propagation, bool recursive) {
  struct mount_attr attr = {
      .attr_set = set, .attr_clr = clear, .propagation = propagation & ~(uint64_t)PROPAGATION_RECURSIVE};
  /* The access time choice is a field, not a bit: setting one means clearing what was there. */
  if (set & MOUNT_ATTR__ATIME) attr.attr_clr |= MOUNT_ATTR__ATIME;
  if (!attr.attr_set && !attr.attr_clr) {
    if (!attr.propagation) return 0;
    recursive |= (propagation & PROPAGATION_RECURSIVE) != 0;
  } else if (attr.propagation && !recursive && (propagation & PROPAGATION_RECURSIVE)) {
    if (set_attr(fd, set, clear, 0, false) < 0) return -1;
    return set_attr(fd, 0, 0, propagation, true);
  }
  return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0u), &attr, sizeof attr);
}

/* A clone of /dev/null that is one. */
static int open_null_tree(void) {
  SCOPED_FD fd = open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
  if (fd < 0) return -1;
  struct stat st;
  if (fstat(fd, &st) < 0) return -1;
  if (!S_ISCHR(st.st_mode) || st.st_rdev != NULL_DEVICE) return fail_with(ENODEV);
  return fd_take(&fd);
}

int step_root(struct init *in, const struct op *op) {
  SCOPED_FD host = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (host < 0) return -1;
  /* While the host's tree is still in sight: the handles untrusted mounts must not be able to influence. */
  struct op any;
  if (plan_find(in->plan, OP_MASK, &any)) in->null_tree = open_null_tree();
  if (plan_find(in->plan, OP_PROC_ATTR, &any)) in->proc = proc_private(true);
  if (plan_find(in->plan, OP_SYSCTL, &any)) in->proc_all = proc_private(false);
  if (set_attr(host, 0, 0, op->f[2].n, false) < 0) return -1;
  SCOPED_FD at = open(op->f[1].s, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (at < 0 || mount_attach(op->f[0].fd, at) < 0) return -1;
  in->root = op->f[0].fd;
  return 0;
}

/* Where a mount goes. File targets are made too when missing. */
static int find_target(struct init *in, const char *path, bool file, bool real, mode_t mode) {
  int root = init_root(in);
  if (root < 0) return -1;
  if (real) {
    int fd = path_find_real(root, path, file ? 0 : O_DIRECTORY);
    if (fd >= 0 || errno != ENOENT) return fd;
  }
  SCOPED_FD made =
      file ? path_make_file(root, path, 0644) : path_make_dirs(root, path, mode, KEEP_ID, KEEP_ID);
  if (made < 0 || !real) return fd_take(&made);
  return path_find_real(root, path, file ? 0 : O_DIRECTORY);
}

/* The kernel's own words about a failed mount. */
static void explain(struct init *in, int fs, const struct op *op) {
  int saved = errno;
  char line[200];
  text_add(&in->text, op->f[4].s);
  ssize_t n = read(fs, line, sizeof line);
  if (n > 2) {
    text_add(&in->text, ": ");
    text_add_bytes(&in->text, line + 2, (size_t)n - 2);
  }
  errno = saved;
}

/* A new file system, not attached yet. */
static int new_mount(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  SCOPED_FD fs = fsopen(f[0].s, FSOPEN_CLOEXEC);
  if (fs < 0) return -1;
  if (f[1].len && fsconfig(fs, FSCONFIG_SET_STRING, "source", f[1].s, 0) < 0) goto fail;
  const char *at = f[2].s;
  for (uint64_t i = 0; i < f[2].n; i++) {
    const char *option = strv_next(&at), *equals = strchr(option, '=');
    char key[64];
    size_t len = equals ? (size_t)(equals - option) : strlen(option);
    if (len >= sizeof key) return fail_with(EINVAL);
    memcpy(key, option, len);
    key[len] = 0;
    if (fsconfig(fs, equals ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, equals ? equals + 1 : NULL, 0) <
        0)
      goto fail;
  }
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) goto fail;
  int mount = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)f[3].n);
  if (mount >= 0) return mount;
fail:
  explain(in, fs, op);
  return -1;
}

static int mount_new(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  bool kernel_state = !strcmp(f[0].s, "proc") || !strcmp(f[0].s, "sysfs");
  bool real = kernel_state || f[6].n & PLAN_MOUNT_NOFOLLOW;
  SCOPED_FD target = find_target(in, f[4].s, false, real, (mode_t)(f[5].n ? f[5].n : 0755));
  if (target < 0) return -1;
  SCOPED_FD mount = new_mount(in, op);
  if (mount < 0) return -1;
  if (f[6].n & PLAN_MOUNT_COPYUP) {
    SCOPED_FD old = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (old < 0 || copy_up(old, mount, 0) < 0) return -1;
  }
  if (mount_attach(mount, target) < 0) return -1;
  return set_attr(mount, 0, 0, f[7].n, false);
}

int step_mount_fs(struct init *in, const struct op *op) {
  return mount_new(in, op) < 0 && !(op->f[6].n & PLAN_MOUNT_OPTIONAL) ? -1 : 0;
}

static int mount_tree(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  SCOPED_FD target = find_target(in, f[1].s, f[6].n == PLAN_KIND_FILE, f[7].n & PLAN_MOUNT_NOFOLLOW, 0755);
  if (target < 0) return -1;
  if (set_attr(f[0].fd, f[2].n, f[3].n, 0, f[4].n == 1) < 0 || mount_attach(f[0].fd, target) < 0) return -1;
  return set_attr(f[0].fd, 0, 0, f[5].n, false);
}

int step_mount_fd(struct init *in, const struct op *op) {
  int r = mount_tree(in, op), err = errno;
  close(op->f[0].fd);
  errno = err;
  return r < 0 && !(op->f[7].n & PLAN_MOUNT_OPTIONAL) ? -1 : 0;
}

/* O_PATH on an existing target; -2: there is none, skip it. */
static int find_existing(struct init *in, const char *path) {
  int root = init_root(in);
  if (root < 0) return -1;
  int fd = path_find(root, path, 0);
  return fd < 0 && (errno == ENOENT || errno == ENOTDIR) ? -2 : fd;
}

int step_readonly_path(struct init *in, const struct op *op) {
  SCOPED_FD target = find_existing(in, op->f[0].s);
  if (target < 0) return target == -2 ? 0 : -1;
  SCOPED_FD tree = clone_tree(target, AT_RECURSIVE);
  if (tree < 0 || set_attr(tree, MOUNT_ATTR_RDONLY, 0, 0, true) < 0) return -1;
  return mount_attach(tree, target);
}

static int new_mask_dir(void) {
  SCOPED_FD fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) < 0 ||
      fsconfig(fs, FSCONFIG_SET_STRING, "nr_blocks", "1", 0) < 0 ||
      fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) < 0 ||
      fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
    return -1;
  return fsmount(fs, FSMOUNT_CLOEXEC,
                 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

/* The first use attaches the tree itself (only an attached one can be cloned on every kernel); later ones a
 * clone. */
static int cover(int tree, bool attached, int target) {
  if (!attached) return mount_attach(tree, target);
  SCOPED_FD copy = clone_tree(tree, 0);
  return copy < 0 ? -1 : mount_attach(copy, target);
}

int step_mask(struct init *in, const struct op *op) {
  SCOPED_FD target = find_existing(in, op->f[0].s);
  if (target < 0) return target == -2 ? 0 : -1;
  struct stat st;
  if (fstat(target, &st) < 0) return -1;
  if (S_ISDIR(st.st_mode)) {
    bool attached = in->mask_dir >= 0;
    if (!attached && (in->mask_dir = new_mask_dir()) < 0) return -1;
    return cover(in->mask_dir, attached, target);
  }
  if (in->null_tree < 0 && (in->null_tree = open_null_tree()) < 0) return -1;
  if (cover(in->null_tree, in->attached_null, target) < 0) return -1;
  in->attached_null = true;
  return 0;
}

int step_pivot(struct init *in) {
  SCOPED_FD old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (old < 0 || in->root < 0 || fchdir(in->root) < 0) return -1;
  if (syscall(SYS_pivot_root, ".", ".") < 0) return -1;
  /* The old tree lies over the new one. It must not pass its unmounting on to the host. */
  if (set_attr(old, 0, 0, PROPAGATION_SLAVE | PROPAGATION_RECURSIVE, true) < 0) return -1;
  if (fchdir(old) < 0 || umount2(".", DETACH) < 0 || chdir("/") < 0) return -1;
  close_and_clear(&in->root);
  in->pivoted = true;
  return init_root(in) < 0 ? -1 : 0;
}

int step_root_attr(struct init *in, const struct op *op) {
  int root = init_root(in);
  if (root < 0) return -1;
  return set_attr(root, op->f[0].n, op->f[1].n, op->f[3].n, op->f[2].n == 1);
}
