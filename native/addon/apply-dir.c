/* Directories of the layer: resolved inside it by the kernel, made when missing, and remembered by path. */
#include "apply.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

void apply_close(const int *fd) {
  if (*fd >= 0) close(*fd);
}

static int resolve(int root, const char *path) {
  struct open_how how = {
      .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
      .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
  };
  for (int attempt = 0;; attempt++) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
    if (fd >= 0) return (int)fd;
    /* A rename elsewhere on the file system made the kernel give up: not an answer. */
    if (errno != EAGAIN || attempt == 100) return -errno;
  }
}

bool apply_is_whiteout(int dir, const char *name) {
  struct stat st;
  return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

int apply_make_opaque(const struct apply *apply, int dir) {
  const char *name = apply->flags & APPLY_USER_XATTR ? "user.overlay.opaque" : "trusted.overlay.opaque";
  return fsetxattr(dir, name, "y", 1, 0) < 0 ? -errno : 0;
}

/* A directory nobody described: 0755, ours. In place of a whiteout it hides what lies below, so it is opaque.
 */
static int make_missing(struct apply *apply, int parent, const char *name, bool keep_whiteout) {
  bool opaque = false;
  /* A name of 4 KiB can ask for 2,000 of them: a small archive would use up the inodes of the disk. */
  if (apply->unnamed++ == apply_unnamed_max) return -E2BIG;
  if (mkdirat(parent, name, 0755) < 0) {
    if (errno != EEXIST) return -errno;
    if (!apply_is_whiteout(parent, name)) return -ENOTDIR;
    if (keep_whiteout) return -EEXIST;
    if (unlinkat(parent, name, 0) < 0 || mkdirat(parent, name, 0755) < 0) return -errno;
    opaque = true;
  }
  apply_owned int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fchmod(fd, 0755) < 0) return -errno;
  int error = opaque ? apply_make_opaque(apply, fd) : 0;
  if (error) return error;
  int result = fd;
  fd = -1;
  return result;
}

/* The returned fd belongs to the caller. `path` is cut while parents are made, and restored. */
static int open_or_make(struct apply *apply, char *path, enum apply_missing missing) {
  int fd = resolve(apply->root, path);
  if (fd >= 0 || missing == APPLY_FAIL || (fd != -ENOENT && fd != -ENOTDIR)) return fd;
  char *slash = strrchr(path, '/');
  bool keep_whiteout = missing == APPLY_CREATE_UNLESS_WHITEOUT;
  if (!slash) return make_missing(apply, apply->root, path, keep_whiteout);
  *slash = '\0';
  apply_owned int parent = open_or_make(apply, path, missing);
  *slash = '/';
  return parent < 0 ? parent : make_missing(apply, parent, slash + 1, keep_whiteout);
}

void apply_dir_keep(struct apply *apply, const char *path, size_t length, int fd) {
  struct apply_dir *oldest = &apply->dirs[0];
  for (struct apply_dir *dir = apply->dirs; dir < apply->dirs + apply_cached; dir++) {
    if (dir->fd >= 0 && dir->length == length && memcmp(dir->path, path, length) == 0) {
      oldest = dir;
      break;
    }
    if (dir->used < oldest->used) oldest = dir;
  }
  if (oldest->fd >= 0) close(oldest->fd);
  oldest->fd = fd;
  oldest->used = ++apply->clock;
  oldest->length = (uint16_t)length;
  memcpy(oldest->path, path, length);
}

void apply_dir_forget(struct apply *apply) {
  for (struct apply_dir *dir = apply->dirs; dir < apply->dirs + apply_cached; dir++) {
    if (dir->fd >= 0) close(dir->fd);
    dir->fd = -1;
    dir->used = 0;
  }
  apply->stale = false;
}

int apply_dir_open(struct apply *apply, const char *path, size_t length, enum apply_missing missing) {
  if (length == 0) return apply->root;
  if (length >= apply_path_max) return -ENAMETOOLONG;
  if (apply->stale) apply_dir_forget(apply);
  for (struct apply_dir *dir = apply->dirs; dir < apply->dirs + apply_cached; dir++) {
    if (dir->fd < 0 || dir->length != length || memcmp(dir->path, path, length) != 0) continue;
    dir->used = ++apply->clock;
    return dir->fd;
  }
  char copy[apply_path_max];
  memcpy(copy, path, length);
  copy[length] = '\0';
  int fd = open_or_make(apply, copy, missing);
  if (fd >= 0) apply_dir_keep(apply, path, length, fd);
  return fd;
}
