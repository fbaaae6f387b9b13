#include "path.h"

#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define MAX_LINKS 40
#define PROC_ROOT_INODE 1

static int64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int path_open2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
  int64_t until = 0;
  for (int tries = 0;; tries++) {
    int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return fd;
    /* EAGAIN: somebody renames or mounts meanwhile. Insist, then for some milliseconds more. */
    if (tries < 128) continue;
    if (until == 0) until = now_us() + 20000;
    if (now_us() > until) return fail_with(EAGAIN);
  }
}

int path_find(int root, const char *path, int flags) {
  return path_open2(root, *path ? path : "/", (uint64_t)(O_PATH | flags), 0,
                    RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int path_find_real(int root, const char *path, int flags) {
  return path_open2(root, *path ? path : "/", (uint64_t)(O_PATH | flags), 0,
                    RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
}

/* Puts the contents of the link buf[start, stop) of `parent` in its place; the rest of the path stays. */
static int splice_link(int parent, char buf[PATH_MAX], size_t start, size_t stop, const char *rest) {
  char link[PATH_MAX], out[PATH_MAX];
  buf[stop] = 0;
  ssize_t n = readlinkat(parent, buf + start, link, sizeof link - 1);
  if (n < 0) return -1;
  size_t keep = link[0] == '/' ? 0 : start, tail = strlen(rest);
  if (keep + (size_t)n + 1 + tail + 1 > PATH_MAX) return fail_with(ENAMETOOLONG);
  memcpy(out, buf, keep);
  memcpy(out + keep, link, (size_t)n);
  out[keep + (size_t)n] = '/';
  memcpy(out + keep + (size_t)n + 1, rest, tail + 1);
  memcpy(buf, out, keep + (size_t)n + 1 + tail + 1);
  return 0;
}

/* Opens the directory above the last component, which mostly exists; otherwise the root. `stop` is where what
 * is missing begins. */
static int open_above(int root, char buf[PATH_MAX], size_t *stop) {
  char *slash = strrchr(buf, '/');
  *stop = slash ? (size_t)(slash - buf) : 0;
  if (*stop > 0) {
    *slash = 0;
    int fd = path_find(root, buf, O_DIRECTORY);
    *slash = '/';
    if (fd >= 0 || errno != ENOENT) return fd;
    *stop = 0;
  }
  return path_find(root, "/", O_DIRECTORY);
}

/* One pass down to the last component. 1: a dangling link was spliced, begin again. */
static int walk_down(int root, char buf[PATH_MAX], mode_t mode, uint32_t uid, uint32_t gid, int *out) {
  size_t stop;
  SCOPED_FD parent = open_above(root, buf, &stop);
  if (parent < 0) return -1;
  for (;;) {
    size_t start = stop;
    while (buf[start] == '/')
      start++;
    if (!buf[start]) {
      *out = fd_take(&parent);
      return 0;
    }
    stop = start + strcspn(buf + start, "/");
    char saved = buf[stop];
    buf[stop] = 0;
    int next = path_find(root, buf, O_DIRECTORY);
    if (next < 0 && errno == ENOENT) {
      if (mkdirat(parent, buf + start, mode) == 0) {
        next = path_open2(parent, buf + start, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0,
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        if (next >= 0 && (uid != KEEP_ID || gid != KEEP_ID) &&
            fchownat(next, "", uid, gid, AT_EMPTY_PATH) < 0) {
          close_and_clear(&next);
          return -1;
        }
      } else if (errno == EEXIST) {
        char rest[PATH_MAX];
        rest[0] = 0;
        if (saved) strcpy(rest, buf + stop + 1);
        return splice_link(parent, buf, start, stop, rest) < 0 ? -1 : 1;
      }
    }
    if (next < 0) return -1;
    buf[stop] = saved;
    close(parent);
    parent = next;
  }
}

int path_make_dirs(int root, const char *path, mode_t mode, uint32_t uid, uint32_t gid) {
  int fd = path_find(root, path, O_DIRECTORY);
  if (fd >= 0 || errno != ENOENT) return fd;
  char buf[PATH_MAX];
  size_t len = strlen(path);
  if (len >= sizeof buf) return fail_with(ENAMETOOLONG);
  memcpy(buf, path, len + 1);
  for (int links = 0; links < MAX_LINKS; links++) {
    int r = walk_down(root, buf, mode, uid, gid, &fd);
    if (r <= 0) return r < 0 ? -1 : fd;
  }
  return fail_with(ELOOP);
}

/* Splits into directory and last component; the latter must be a plain name. */
static int split(const char *path, char dir[PATH_MAX], const char **base) {
  size_t len = strlen(path);
  if (len >= PATH_MAX) return fail_with(ENAMETOOLONG);
  const char *slash = strrchr(path, '/');
  *base = slash ? slash + 1 : path;
  size_t n = (size_t)(*base - path);
  memcpy(dir, path, n);
  dir[n] = 0;
  if (!**base || !strcmp(*base, ".") || !strcmp(*base, "..")) return fail_with(EINVAL);
  return 0;
}

int path_parent(int root, const char *path, const char **base) {
  char dir[PATH_MAX];
  if (split(path, dir, base) < 0) return -1;
  return path_make_dirs(root, dir, 0755, KEEP_ID, KEEP_ID);
}

int path_make_file(int root, const char *path, mode_t mode) {
  int fd = path_find(root, path, 0);
  if (fd >= 0 || errno != ENOENT) return fd;
  char buf[PATH_MAX];
  size_t len = strlen(path);
  if (len >= sizeof buf) return fail_with(ENAMETOOLONG);
  memcpy(buf, path, len + 1);
  for (int links = 0; links < MAX_LINKS; links++) {
    const char *base;
    SCOPED_FD parent = path_parent(root, buf, &base);
    if (parent < 0) return -1;
    fd = openat(parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd >= 0) {
      close(fd);
      return path_find(root, buf, 0);
    }
    if (errno != EEXIST) return -1;
    size_t start = (size_t)(base - buf);
    if (splice_link(parent, buf, start, strlen(buf), "") < 0) return -1;
    size_t end = strlen(buf);
    while (end > 1 && buf[end - 1] == '/')
      buf[--end] = 0;
    fd = path_find(root, buf, 0);
    if (fd >= 0 || errno != ENOENT) return fd;
  }
  return fail_with(ELOOP);
}

int proc_private(bool pids_only) {
  SCOPED_FD fs = fsopen("proc", FSOPEN_CLOEXEC);
  if (fs < 0) return -1;
  if (pids_only && fsconfig(fs, FSCONFIG_SET_STRING, "subset", "pid", 0) < 0) return -1;
  if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return -1;
  return fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

int proc_visible(int root) {
  SCOPED_FD fd = path_find_real(root, "/proc", O_DIRECTORY);
  if (fd < 0) return -1;
  struct statfs fs;
  struct stat st;
  if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0) return -1;
  if (fs.f_type != PROC_SUPER_MAGIC || st.st_ino != PROC_ROOT_INODE) return fail_with(EXDEV);
  return fd_take(&fd);
}

int proc_write(int proc, const char *path, const char *data, size_t len) {
  SCOPED_FD fd = path_open2(proc, path, O_WRONLY, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
  if (fd < 0) return -1;
  ssize_t n = write(fd, data, len);
  if (n < 0) return -1;
  return (size_t)n == len ? 0 : fail_with(EIO);
}
