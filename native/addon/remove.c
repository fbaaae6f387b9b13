/* Deleting trees: by names in open directories, so that no link and no mount leads anywhere else. */
#include "addon.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* So many directories are open at a time; what is deeper moves up into the top and has its turn there. */
enum { max_depth = 32, more = 1 };

struct removal {
  int top;
  int64_t left; /* entries that may still be deleted in this call */
  unsigned moved;
};

static int empty(struct removal *removal, int fd, int depth);

static int open_child(int dir, const char *name) {
  struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                         .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
  long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));
  return fd < 0 ? -errno : (int)fd;
}

static int open_top(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

/* Moves a directory to where no path has to be long to reach it. */
static int move_up(struct removal *removal, int dir, const char *name) {
  char place[40];
  do {
    snprintf(place, sizeof(place), ".deep-%d-%u", getpid(), removal->moved++);
    if (renameat2(dir, name, removal->top, place, RENAME_NOREPLACE) == 0) return 0;
  } while (errno == EEXIST);
  return errno == ENOENT ? 0 : -errno;
}

/* 0: it is gone; `more`: the budget is used up. What somebody else deletes meanwhile is gone as well. The
 * entry of depth -1 is the top, a path. */
static int remove_entry(struct removal *removal, int dir, const char *name, bool directory, int depth) {
  if (removal->left-- <= 0) return more;
  if (!directory && unlinkat(dir, name, 0) == 0) return 0;
  if (!directory && errno != EISDIR) return errno == ENOENT ? 0 : -errno;
  for (;;) {
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    if (errno == ENOTDIR) return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : -errno;
    if (errno != ENOTEMPTY && errno != EEXIST) return -errno;
    if (depth == max_depth) return move_up(removal, dir, name);
    int fd = depth < 0 ? open_top(name) : open_child(dir, name);
    if (fd == -ENOENT) return 0;
    if (fd < 0) return fd;
    int result = empty(removal, fd, depth + 1);
    if (result != 0) return result;
  }
}

/* Closes `fd`. */
static int empty(struct removal *removal, int fd, int depth) {
  DIR *entries = fdopendir(fd);
  if (!entries) {
    int error = -errno;
    close(fd);
    return error;
  }
  if (depth == 0) removal->top = fd;
  int result = 0;
  for (struct dirent *entry; result == 0;) {
    errno = 0;
    entry = readdir(entries);
    if (!entry) {
      result = -errno;
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    result = remove_entry(removal, fd, entry->d_name, entry->d_type == DT_DIR, depth);
  }
  closedir(entries);
  return result;
}

/* removeSome(path, budget): 0 when nothing is there any more, 1 when there is more to do, or -errno. */
static napi_value remove_some(napi_env env, napi_callback_info info) {
  napi_value args[2];
  char path[PATH_MAX + 8];
  int64_t budget;
  if (!tare_args(env, info, args, 2)) return tare_number(env, -EINVAL);
  int error = tare_string(env, args[0], path, sizeof(path));
  if (error == 0) error = tare_int(env, args[1], &budget);
  if (error < 0) return tare_number(env, error);
  struct removal removal = {.top = -1, .left = budget};
  return tare_number(env, remove_entry(&removal, AT_FDCWD, path, false, -1));
}

TARE_FUNCTIONS(remove, {"removeSome", remove_some})
