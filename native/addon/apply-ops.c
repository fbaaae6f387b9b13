/* The operations of a batch, one function each. */
#include "apply.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A cursor over the batch; reading past the end marks it bad instead of reading. */
struct cursor {
  uint8_t *at, *end;
  bool bad;
};

struct meta {
  uint32_t mode, uid, gid;
  struct timespec times[2];
  uint16_t xattr_count;
  struct cursor xattrs;
};

struct target {
  int dir;
  const char *name, *path;
  size_t length;
};

static uint8_t *take(struct cursor *c, size_t length) {
  static uint8_t nothing[8];
  if ((size_t)(c->end - c->at) < length) {
    c->bad = true;
    return length <= sizeof(nothing) ? nothing : NULL;
  }
  uint8_t *result = c->at;
  c->at += length;
  return result;
}

#define DEFINE_READ(name, type)                                                                              \
  static type name(struct cursor *c) {                                                                       \
    type value;                                                                                              \
    memcpy(&value, take(c, sizeof(value)), sizeof(value));                                                   \
    return value;                                                                                            \
  }
DEFINE_READ(read_u16, uint16_t)
DEFINE_READ(read_u32, uint32_t)
DEFINE_READ(read_i64, int64_t)

/* Length, bytes, NUL; no other NUL. */
static const char *read_string(struct cursor *c, size_t *length) {
  *length = read_u16(c);
  const char *text = (const char *)take(c, *length + 1);
  if (c->bad || !text || strnlen(text, *length + 1) != *length) {
    c->bad = true;
    return "";
  }
  return text;
}

static void read_xattr(struct cursor *c, const char **name, const uint8_t **value, size_t *size) {
  size_t length;
  *name = read_string(c, &length);
  *size = read_u32(c);
  *value = take(c, *size);
}

static struct meta read_meta(struct cursor *c) {
  struct meta meta;
  meta.mode = read_u32(c);
  meta.uid = read_u32(c);
  meta.gid = read_u32(c);
  meta.times[0].tv_sec = read_i64(c);
  meta.times[0].tv_nsec = read_u32(c);
  meta.times[1] = meta.times[0];
  meta.xattr_count = read_u16(c);
  meta.xattrs = *c;
  const char *name;
  const uint8_t *value;
  size_t size;
  for (unsigned i = 0; i < meta.xattr_count; i++)
    read_xattr(c, &name, &value, &size);
  meta.xattrs.end = c->at;
  return meta;
}

static bool fail(struct apply *apply, int error, const char *step, const char *path) {
  apply->error.step = step;
  snprintf(apply->error.path, sizeof(apply->error.path), "%s", path);
  /* Last: from here on the JS thread may look. */
  __atomic_store_n(&apply->error.number, error < 0 ? -error : error, __ATOMIC_RELEASE);
  return false;
}

static bool failed(struct apply *apply, const char *step, const char *path) {
  return fail(apply, errno, step, path);
}

static bool read_target(struct apply *apply, struct cursor *c, struct target *t, enum apply_missing missing) {
  t->path = read_string(c, &t->length);
  if (c->bad) return fail(apply, EINVAL, "decode", "");
  const char *slash = memrchr(t->path, '/', t->length);
  size_t parent = slash ? (size_t)(slash - t->path) : 0;
  t->name = slash ? slash + 1 : t->path;
  if (t->length >= apply_path_max) return fail(apply, ENAMETOOLONG, "decode", t->path);
  if (t->length > 0 && (!*t->name || !strcmp(t->name, ".") || !strcmp(t->name, "..")))
    return fail(apply, EINVAL, "decode", t->path);
  t->dir = apply_dir_open(apply, t->path, parent, missing);
  if (t->dir == -EEXIST && missing == APPLY_CREATE_UNLESS_WHITEOUT) return true;
  return t->dir >= 0 || fail(apply, t->dir, "openat2", t->path);
}

/*
 * After a failed `step`: an entry takes the place of what an earlier one left there, except of a directory.
 * False when that was not the reason.
 */
static bool make_room(struct apply *apply, const struct target *t, const char *step) {
  if (errno != EEXIST) return failed(apply, step, t->path);
  apply->stale = true; /* it may have been a link on the way to a directory */
  return unlinkat(t->dir, t->name, 0) == 0 || failed(apply, "unlinkat", t->path);
}

/* Attributes that the file system, or this kind of file, cannot have are left out. */
static bool set_xattrs(struct apply *apply, int fd, const char *link_path, const struct meta *meta,
                       const char *path) {
  struct cursor c = meta->xattrs;
  for (unsigned i = 0; i < meta->xattr_count; i++) {
    const char *name;
    const uint8_t *value;
    size_t size;
    read_xattr(&c, &name, &value, &size);
    int result = link_path ? lsetxattr(link_path, name, value, size, 0) : fsetxattr(fd, name, value, size, 0);
    if (result == 0 || errno == EOPNOTSUPP || (link_path && errno == EPERM)) continue;
    return failed(apply, "setxattr", path);
  }
  return true;
}

/* Owner first: it clears the set-id bits and file capabilities. */
static bool set_meta(struct apply *apply, int fd, const struct meta *meta, bool times, const char *path) {
  if (fchown(fd, meta->uid, meta->gid) < 0) return failed(apply, "fchown", path);
  if (meta->xattr_count > 0 && !set_xattrs(apply, fd, NULL, meta, path)) return false;
  if (fchmod(fd, meta->mode & 07777) < 0) return failed(apply, "fchmod", path);
  if (times && futimens(fd, meta->times) < 0) return failed(apply, "futimens", path);
  return true;
}

/* The same for what cannot be opened: links and nodes, by name in a directory fd, never followed. */
static bool set_owner_at(struct apply *apply, const struct target *t, const struct meta *meta) {
  return fchownat(t->dir, t->name, meta->uid, meta->gid, AT_SYMLINK_NOFOLLOW) == 0 ||
         failed(apply, "fchownat", t->path);
}

static bool set_rest_at(struct apply *apply, const struct target *t, const struct meta *meta, mode_t type) {
  if (meta->xattr_count > 0) {
    char link_path[apply_path_max + 32];
    snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d/%s", t->dir, t->name);
    if (!set_xattrs(apply, -1, link_path, meta, t->path)) return false;
  }
  /* We know what is there: nobody else works in the directory. */
  if (!S_ISLNK(type) && fchmodat(t->dir, t->name, meta->mode & 07777, 0) < 0)
    return failed(apply, "fchmodat", t->path);
  return utimensat(t->dir, t->name, meta->times, AT_SYMLINK_NOFOLLOW) == 0 ||
         failed(apply, "utimensat", t->path);
}

static bool make_dir(struct apply *apply, struct cursor *c) {
  struct target t;
  if (!read_target(apply, c, &t, APPLY_CREATE)) return false;
  struct meta meta = read_meta(c);
  if (c->bad) return fail(apply, EINVAL, "decode", t.path);
  if (t.length == 0) return set_meta(apply, apply->root, &meta, false, "/");
  bool opaque = false;
  int fd;
  while ((fd = openat(t.dir, t.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) break;
    if (mkdirat(t.dir, t.name, 0700) == 0) continue;
    opaque = apply_is_whiteout(t.dir, t.name);
    if (!make_room(apply, &t, "mkdirat")) return false;
  }
  if (fd < 0) return failed(apply, "openat", t.path);
  int error = opaque ? apply_make_opaque(apply, fd) : 0;
  bool ok = error ? fail(apply, error, "setxattr", t.path) : set_meta(apply, fd, &meta, false, t.path);
  if (ok)
    apply_dir_keep(apply, t.path, t.length, fd); /* its entries come next */
  else
    close(fd);
  return ok;
}

static bool make_file(struct apply *apply, struct cursor *c) {
  struct target t;
  if (apply->file >= 0) return fail(apply, EINVAL, "decode", "");
  if (!read_target(apply, c, &t, APPLY_CREATE)) return false;
  if (t.length == 0) return fail(apply, EISDIR, "openat", "/");
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  while ((apply->file = openat(t.dir, t.name, flags, 0600)) < 0)
    if (!make_room(apply, &t, "openat")) return false;
  apply->crc = 0;
  memcpy(apply->file_path, t.path, t.length + 1);
  return true;
}

static bool write_data(struct apply *apply, struct cursor *c) {
  size_t length = read_u32(c);
  const uint8_t *data = take(c, length);
  if (c->bad || apply->file < 0) return fail(apply, EINVAL, "decode", "");
  if (apply->flags & APPLY_CRC) apply->crc = apply_crc_update(&apply->tables, apply->crc, data, length);
  while (length > 0) {
    ssize_t n = write(apply->file, data, length);
    if (n < 0 && errno != EINTR) return failed(apply, "write", apply->file_path);
    if (n <= 0) continue;
    data += n;
    length -= (size_t)n;
  }
  return true;
}

/* The end of the file moves with it, so that a hole may also be the last thing. */
static bool make_hole(struct apply *apply, struct cursor *c) {
  int64_t length = read_i64(c);
  if (c->bad || apply->file < 0 || length < 0) return fail(apply, EINVAL, "decode", "");
  off_t end;
  if (__builtin_add_overflow(lseek(apply->file, 0, SEEK_CUR), length, &end))
    return fail(apply, EFBIG, "ftruncate", apply->file_path);
  return (ftruncate(apply->file, end) == 0 && lseek(apply->file, end, SEEK_SET) == end) ||
         failed(apply, "ftruncate", apply->file_path);
}

static bool end_file(struct apply *apply, struct cursor *c) {
  struct meta meta = read_meta(c);
  uint8_t *slot = take(c, 8);
  if (c->bad || apply->file < 0) return fail(apply, EINVAL, "decode", "");
  uint64_t crc = __builtin_bswap64(apply->crc);
  memcpy(slot, &crc, 8);
  apply_owned int fd = apply->file;
  apply->file = -1;
  return set_meta(apply, fd, &meta, true, apply->file_path);
}

static bool make_symlink(struct apply *apply, struct cursor *c) {
  struct target t;
  size_t length;
  if (!read_target(apply, c, &t, APPLY_CREATE)) return false;
  struct meta meta = read_meta(c);
  const char *text = read_string(c, &length);
  if (c->bad || t.length == 0) return fail(apply, EINVAL, "decode", t.path);
  while (symlinkat(text, t.dir, t.name) < 0)
    if (!make_room(apply, &t, "symlinkat")) return false;
  return set_owner_at(apply, &t, &meta) && set_rest_at(apply, &t, &meta, S_IFLNK);
}

/* Its entry describes the file once more, and as in all Go tools the last description counts; of a symbolic
 * link only the owner. */
static bool make_link(struct apply *apply, struct cursor *c) {
  struct target t, old;
  if (!read_target(apply, c, &t, APPLY_CREATE)) return false;
  struct meta meta = read_meta(c);
  if (c->bad || t.length == 0) return fail(apply, EINVAL, "decode", t.path);
  /* Resolving the target may take the cached fd away. */
  apply_owned int dir = fcntl(t.dir, F_DUPFD_CLOEXEC, 0);
  if (dir < 0) return failed(apply, "fcntl", t.path);
  t.dir = dir;
  if (!read_target(apply, c, &old, APPLY_FAIL)) return false;
  if (old.length == 0) return fail(apply, EINVAL, "decode", t.path);
  struct stat from, to;
  if (fstatat(old.dir, old.name, &from, AT_SYMLINK_NOFOLLOW) < 0) return failed(apply, "linkat", old.path);
  /* What is wiped out is not there. */
  if (apply_is_whiteout(old.dir, old.name)) return fail(apply, ENOENT, "linkat", old.path);
  if (S_ISDIR(from.st_mode)) return fail(apply, EPERM, "linkat", t.path);
  if (fstatat(t.dir, t.name, &to, AT_SYMLINK_NOFOLLOW) < 0 || from.st_ino != to.st_ino) {
    while (linkat(old.dir, old.name, t.dir, t.name, 0) < 0)
      if (!make_room(apply, &t, "linkat")) return false;
  }
  /* Setting the owner it has would take its capabilities, which not all tools write again. */
  bool same = from.st_uid == meta.uid && from.st_gid == meta.gid;
  return (same || set_owner_at(apply, &t, &meta)) &&
         (S_ISLNK(from.st_mode) || set_rest_at(apply, &t, &meta, from.st_mode & S_IFMT));
}

static bool make_node(struct apply *apply, struct cursor *c) {
  struct target t;
  if (!read_target(apply, c, &t, APPLY_CREATE)) return false;
  struct meta meta = read_meta(c);
  uint32_t major = read_u32(c), minor = read_u32(c);
  if (c->bad || t.length == 0) return fail(apply, EINVAL, "decode", t.path);
  if (!S_ISFIFO(meta.mode) && apply->flags & APPLY_NO_DEVICES) return true;
  mode_t mode = (meta.mode & S_IFMT) | 0600;
  while (mknodat(t.dir, t.name, mode, makedev(major, minor)) < 0)
    if (!make_room(apply, &t, "mknodat")) return false;
  return set_owner_at(apply, &t, &meta) && set_rest_at(apply, &t, &meta, meta.mode & S_IFMT);
}

/* Hides what lower layers have of that name. What this layer itself put there stays: a directory, opaque. */
static bool make_whiteout(struct apply *apply, struct cursor *c) {
  struct target t;
  if (!read_target(apply, c, &t, APPLY_CREATE_UNLESS_WHITEOUT)) return false;
  struct meta meta = read_meta(c);
  if (c->bad || t.length == 0) return fail(apply, EINVAL, "decode", t.path);
  if (t.dir == -EEXIST) return true; /* beneath something that is itself wiped out */
  if (mknodat(t.dir, t.name, S_IFCHR, 0) == 0) {
    return fchownat(t.dir, t.name, meta.uid, meta.gid, AT_SYMLINK_NOFOLLOW) == 0 ||
           failed(apply, "fchownat", t.path);
  }
  if (errno != EEXIST) return failed(apply, "mknodat", t.path);
  apply_owned int fd = openat(t.dir, t.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return errno == ENOTDIR || errno == ELOOP || failed(apply, "openat", t.path);
  int error = apply_make_opaque(apply, fd);
  return error == 0 || fail(apply, error, "setxattr", t.path);
}

static bool mark_opaque(struct apply *apply, struct cursor *c) {
  size_t length;
  const char *path = read_string(c, &length);
  if (c->bad) return fail(apply, EINVAL, "decode", "");
  int dir = apply_dir_open(apply, path, length, APPLY_CREATE);
  if (dir < 0) return fail(apply, dir, "openat2", path);
  apply_owned int fd =
      openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the cached one may be O_PATH */
  if (fd < 0) return failed(apply, "openat", path);
  int error = apply_make_opaque(apply, fd);
  return error == 0 || fail(apply, error, "setxattr", path);
}

/* Of a directory, at the end. One that a later entry replaced has nothing to restore. */
static bool set_times(struct apply *apply, struct cursor *c) {
  struct target t;
  struct timespec times[2];
  if (!read_target(apply, c, &t, APPLY_FAIL)) return false;
  times[0].tv_sec = read_i64(c);
  times[0].tv_nsec = read_u32(c);
  times[1] = times[0];
  if (c->bad) return fail(apply, EINVAL, "decode", t.path);
  if (t.length == 0) return futimens(apply->root, times) == 0 || failed(apply, "futimens", "/");
  return utimensat(t.dir, t.name, times, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT ||
         failed(apply, "utimensat", t.path);
}

void apply_begin(struct apply *apply, int root, uint32_t flags) {
  apply->root = root;
  apply->file = -1;
  apply->flags = flags;
  for (int i = 0; i < apply_cached; i++)
    apply->dirs[i].fd = -1;
  apply_crc_init(&apply->tables);
}

void apply_finish(struct apply *apply) {
  apply_dir_forget(apply);
  apply_close(&apply->file);
  apply_close(&apply->root);
}

bool apply_batch(struct apply *apply, uint8_t *data, size_t length) {
  static bool (*const operations[])(struct apply *, struct cursor *) = {
      [APPLY_DIR] = make_dir,    [APPLY_FILE] = make_file,         [APPLY_DATA] = write_data,
      [APPLY_END] = end_file,    [APPLY_SYMLINK] = make_symlink,   [APPLY_LINK] = make_link,
      [APPLY_NODE] = make_node,  [APPLY_WHITEOUT] = make_whiteout, [APPLY_OPAQUE] = mark_opaque,
      [APPLY_TIMES] = set_times, [APPLY_HOLE] = make_hole,
  };
  struct cursor c = {.at = data, .end = data + length};
  while (apply->error.number == 0 && c.at < c.end) {
    uint8_t op = *take(&c, 1);
    if (op == 0 || op >= sizeof(operations) / sizeof(operations[0])) return fail(apply, EINVAL, "decode", "");
    operations[op](apply, &c);
  }
  return apply->error.number == 0;
}
