/* tmpcopyup: what lay under a new tmpfs appears in it. Only descriptors, no link is followed. */
#include <dirent.h>
#include <limits.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "init.h"

#define MAX_DEPTH 64

struct entry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

/* Owner, mode, times; in this order, since chown clears set-id bits. */
static int copy_attributes(int to, const struct stat *st) {
  struct timespec times[2] = {st->st_atim, st->st_mtim};
  if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0) return -1;
  return futimens(to, times);
}

static int copy_file(int from_dir, int to_dir, const char *name) {
  SCOPED_FD from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct stat st;
  if (from < 0 || fstat(from, &st) < 0) return -1;
  if (!S_ISREG(st.st_mode)) return fail_with(EAGAIN);
  SCOPED_FD to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (to < 0) return -1;
  for (ssize_t n; (n = sendfile(to, from, NULL, 1 << 30)) != 0;)
    if (n < 0) return -1;
  return copy_attributes(to, &st);
}

static int copy_link(int from_dir, int to_dir, const char *name) {
  char link[PATH_MAX];
  struct stat st;
  ssize_t n = readlinkat(from_dir, name, link, sizeof link - 1);
  if (n < 0 || fstatat(from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return -1;
  link[n] = 0;
  struct timespec times[2] = {st.st_atim, st.st_mtim};
  if (symlinkat(link, to_dir, name) < 0 ||
      fchownat(to_dir, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
    return -1;
  return utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW);
}

static int copy_directory(int from_dir, int to_dir, const char *name, int depth) {
  SCOPED_FD from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0 || mkdirat(to_dir, name, 0700) < 0) return -1;
  SCOPED_FD to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return to < 0 ? -1 : copy_up(from, to, depth + 1);
}

static int copy_entry(int from, int to, const char *name, int depth) {
  struct stat st;
  if (!strcmp(name, ".") || !strcmp(name, "..")) return 0;
  if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0) return -1;
  if (S_ISDIR(st.st_mode)) return copy_directory(from, to, name, depth);
  if (S_ISREG(st.st_mode)) return copy_file(from, to, name);
  if (S_ISLNK(st.st_mode)) return copy_link(from, to, name);
  return 0;
}

int copy_up(int from, int to, int depth) {
  _Alignas(struct entry) char buf[2048];
  struct stat st;
  if (depth > MAX_DEPTH) return fail_with(ELOOP);
  if (fstat(from, &st) < 0) return -1;
  for (long n; (n = syscall(SYS_getdents64, from, buf, sizeof buf)) != 0;) {
    if (n < 0) return -1;
    for (long at = 0; at < n;) {
      const struct entry *e = (const struct entry *)(buf + at);
      if (copy_entry(from, to, e->name, depth) < 0) return -1;
      at += e->length;
    }
  }
  /* The mount's own root is an O_PATH descriptor: open it for the attribute calls. */
  SCOPED_FD self = openat(to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return self < 0 ? -1 : copy_attributes(self, &st);
}
