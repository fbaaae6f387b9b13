/*
 * All commands of an unprivileged user act in one user namespace: only there have they rights over what the
 * others made. Whoever comes first makes it; the holder keeps it; when somebody killed the holder, a monitor
 * that still lives has kept it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"

enum { BYTE_MAKER = 1, TRIES = 20 };

static int open_lock(int dir, const struct user *user) {
  int fd = openat(dir, "userns", O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  struct stat st;
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == user->uid && st.st_nlink == 1)
    return fd;
  SAY("Cannot use ", user->run_dir,
      "/tare/userns: ", fd < 0 ? strerror(errno) : "it is not this user's file; remove it");
  if (fd >= 0) close(fd);
  return -1;
}

static int open_process(pid_t pid) {
  char path[64] = "/proc/", digits[24];
  return open(strcat(path, number(digits, (uint64_t)pid)), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* The directory we are in is the same seen from there: else it was mounted since, where the mounts of the
 * machine are not shared. */
static bool sees_cwd(int process, char cwd[PATH_MAX]) {
  struct stat here, there;
  char path[PATH_MAX];
  if (!getcwd(cwd, PATH_MAX) || cwd[0] != '/' || stat(".", &here) < 0) return false;
  if (!join(path, "root", cwd) || fstatat(process, path, &there, 0) < 0) return false;
  return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* Into the namespaces behind two descriptors. Where the process's mounts are not ours, into a copy of ours.
 */
static bool enter(int process, int user_ns, int mount_ns) {
  char cwd[PATH_MAX];
  bool same = sees_cwd(process, cwd);
  if (setns(user_ns, CLONE_NEWUSER) < 0) return false;
  if (!same) return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) == 0;
  return setns(mount_ns, CLONE_NEWNS) == 0 && chdir(cwd) == 0;
}

/* 1: inside; 0: the holder went away meanwhile; -1: refused. */
static int join_holder(int lock, pid_t pid) {
  SCOPED_FD process = open_process(pid);
  if (process < 0) return 0;
  SCOPED_FD user_ns = openat(process, "ns/user", O_RDONLY | O_CLOEXEC);
  SCOPED_FD mount_ns = openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC);
  int err = errno;
  /* The pid may be another process's by now: not while it still has the lock. */
  if (holder_find(lock) != pid) return 0;
  errno = err;
  if (user_ns < 0 || mount_ns < 0) return -1;
  return enter(process, user_ns, mount_ns) ? 1 : -1;
}

/* A user namespace of this user's, made from the one we are in. */
static bool is_own_namespace(int ns, uid_t uid) {
  uid_t owner;
  struct stat parent, here;
  SCOPED_FD above = ioctl(ns, NS_GET_PARENT);
  return above >= 0 && ioctl(ns, NS_GET_OWNER_UID, &owner) == 0 && owner == uid &&
         fstat(above, &parent) == 0 && stat("/proc/self/ns/user", &here) == 0 &&
         parent.st_ino == here.st_ino && parent.st_dev == here.st_dev;
}

static bool is_monitor(int process) {
  char name[16] = {0};
  SCOPED_FD comm = openat(process, "comm", O_RDONLY | O_CLOEXEC);
  return comm >= 0 && read(comm, name, sizeof name - 1) > 0 && !strcmp(name, "tare-monitor\n");
}

/* Enters the namespaces of a monitor that lives. */
static bool join_monitor(const struct user *user) {
  DIR *proc = opendir("/proc");
  bool inside = false;
  for (struct dirent *entry; proc && !inside && (entry = readdir(proc));) {
    char *end;
    long pid = strtol(entry->d_name, &end, 10);
    struct stat st;
    if (*end || pid <= 0) continue;
    SCOPED_FD process = open_process((pid_t)pid);
    if (process < 0 || fstat(process, &st) < 0 || st.st_uid != user->uid || !is_monitor(process)) continue;
    SCOPED_FD user_ns = openat(process, "ns/user", O_RDONLY | O_CLOEXEC);
    SCOPED_FD mount_ns = openat(process, "ns/mnt", O_RDONLY | O_CLOEXEC);
    if (user_ns < 0 || mount_ns < 0 || !is_own_namespace(user_ns, user->uid)) continue;
    inside = enter(process, user_ns, mount_ns);
  }
  if (proc) closedir(proc);
  return inside;
}

/* 1: inside already; 0: there is a holder now; -1 after saying why. One at a time: a second would make a
 * second namespace. */
static int provide_holder(const struct user *user, int dir, int lock) {
  struct flock maker = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = BYTE_MAKER, .l_len = 1};
  while (fcntl(lock, F_SETLKW, &maker) < 0)
    if (errno != EINTR) {
      SAY("Cannot lock ", user->run_dir, "/tare/userns: ", strerror(errno));
      return -1;
    }
  int result = 0;
  if (holder_find(lock) == 0) {
    if (join_monitor(user))
      result = holder_start_here(user, dir, lock) ? 1 : -1;
    else
      result = holder_make(user, dir, lock) ? 0 : -1;
  }
  maker.l_type = F_UNLCK;
  fcntl(lock, F_SETLK, &maker);
  return result;
}

bool userns_enter(struct user *user) {
  SCOPED_FD dir = run_dir_open(user);
  if (dir < 0) return false;
  SCOPED_FD lock = open_lock(dir, user);
  if (lock < 0) return false;
  for (int i = 0; i < TRIES; i++) {
    pid_t pid = holder_find(lock);
    if (pid > 0) {
      int joined = join_holder(lock, pid);
      user->holder = pid;
      if (joined > 0) return true;
      if (joined == 0) continue;
      break;
    }
    if (pid < 0) break;
    int provided = provide_holder(user, dir, lock);
    if (provided < 0) return false;
    if (provided == 0) continue;
    user->holder = holder_find(lock);
    return true;
  }
  SAY("Cannot enter this user's namespaces: ", strerror(errno), "; they are kept by the process that locks ",
      user->run_dir, "/tare/userns");
  return false;
}
