/*
 * The holder: a process that does nothing but keep the user's namespaces. A lock on a file of the user's run
 * directory says who it is: the kernel tells the pid of a lock's owner, and the lock goes when the owner
 * does, however it dies.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher.h"

enum { BYTE_HOLDER = 0, FRAME_BYTES = 12288, STACK_BYTES = 131072 };

int close_range(unsigned first, unsigned last, int flags);
extern char **launcher_argv;

static struct flock byte_lock(short type, off_t byte) {
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

pid_t holder_find(int lock) {
  struct flock l = byte_lock(F_WRLCK, BYTE_HOLDER);
  if (fcntl(lock, F_GETLK, &l) < 0) return -1;
  if (l.l_type == F_UNLCK) return 0;
  if (l.l_pid > 0) return l.l_pid;
  errno = ESRCH; /* in a pid namespace we do not see */
  return -1;
}

/* A system call without libc: the kernel brings in the neighbourhood of each page of code that is used, and
 * libc's would be as much again as ours. */
static inline __attribute__((always_inline)) long bare_call(long number, long a, long b, long c) {
#if defined(__x86_64__)
  register long fourth __asm__("r10") = 0, fifth __asm__("r8") = 8;
  __asm__ volatile("syscall"
                   : "+a"(number)
                   : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth)
                   : "rcx", "r11", "memory");
  return number;
#else
  long result = syscall(number, a, b, c, 0, 8);
  return result < 0 ? -errno : result;
#endif
}

/* Our program is read from its file again should we wake up: until then its pages are nobody's but ours. */
static inline __attribute__((always_inline)) void drop_program(const char *base, uintptr_t page) {
  const ElfW(Ehdr) *header = (const void *)base;
  const ElfW(Phdr) *segment = (const void *)(base + header->e_phoff);
  for (int i = 0, n = header->e_phnum; i < n; i++, segment++) {
    uintptr_t first = (uintptr_t)segment->p_vaddr & ~page;
    if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
      bare_call(SYS_madvise, (long)first, (long)(segment->p_vaddr + segment->p_memsz - first), MADV_DONTNEED);
  }
}

/* Waits until the lock file has lost its name: a logout unmounts the run directory, and a lock nobody can
 * find is of no use. */
static void wait_for_end(int dir, int lock, const char *run_dir) {
  extern const ElfW(Ehdr) __ehdr_start;
  char path[PATH_MAX];
  struct stat ours, there;
  if (fstat(lock, &ours) < 0 || !join(path, run_dir, "/tare/userns")) return;
  int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  char self[64] = "/proc/self/fd/", digits[24];
  strcat(self, number(digits, (uint64_t)dir));
  if (watch < 0 ||
      inotify_add_watch(watch, self, IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0)
    return;
  int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
  close(dir);
  uintptr_t page = (uintptr_t)getpagesize() - 1;
  /* What those who called and returned have left on the stack, well below this frame. */
  uintptr_t below = ((uintptr_t)__builtin_frame_address(0) & ~page) - FRAME_BYTES;
  bare_call(SYS_madvise, (long)(below - STACK_BYTES), STACK_BYTES, MADV_DONTNEED);
  for (;;) {
    struct pollfd wait[] = {{.fd = watch, .events = POLLIN}, {.fd = mounts, .events = POLLPRI}};
    char events[4096];
    if (lstat(path, &there) < 0 || there.st_dev != ours.st_dev || there.st_ino != ours.st_ino) return;
    drop_program((const char *)&__ehdr_start, page);
    long woken = bare_call(SYS_ppoll, (long)wait, 2, 0);
    if (woken < 0 && woken != -EINTR) return;
    while (read(watch, events, sizeof events) > 0)
      ;
  }
}

/* One area of memory holds the arguments: ps shows what is in it. */
static void set_title(void) {
  static const char title[] = "tare: user namespace";
  char **argv = launcher_argv, *end = argv[0];
  for (char **at = argv; *at; at++)
    if (*at == end) end += strlen(*at) + 1;
  size_t room = (size_t)(end - argv[0]);
  memset(argv[0], 0, room);
  memcpy(argv[0], title, room > sizeof title ? sizeof title : room - 1);
  prctl(PR_SET_NAME, "tare-userns", 0, 0, 0);
}

/* Keeps nothing of the caller's but the lock file and its directory. */
static bool let_go(int *dir, int *lock, int *talk) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int keep[3] = {*talk, *lock, *dir};
  for (int i = 0; i < 3; i++)
    if ((keep[i] = fcntl(keep[i], F_DUPFD_CLOEXEC, 64)) < 0) return false;
  for (int i = 0; i < 3; i++)
    if (null < 0 || dup2(null, i) < 0) return false;
  for (int i = 0; i < 3; i++)
    if (dup2(keep[i], 3 + i) < 0) return false;
  *talk = 3, *lock = 4, *dir = 5;
  return close_range(6, ~0u, 0) == 0 && chdir("/") == 0;
}

/* The first word of a conversation: a pid, or an errno below zero. */
static bool tell(int talk, int word) {
  return send(talk, &word, sizeof word, MSG_NOSIGNAL) == sizeof word;
}

static int hear(int talk) {
  int word;
  ssize_t n;
  do
    n = recv(talk, &word, sizeof word, 0);
  while (n < 0 && errno == EINTR);
  return n == sizeof word ? word : -ECONNRESET;
}

static _Noreturn void be_holder(const struct user *user, int dir, int lock, int talk, bool fresh) {
  sigset_t none;
  sigemptyset(&none);
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  if (fresh && unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) goto failed;
  /* Those who look for us open /proc/PID/ns, which is a matter of being traceable. */
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) goto failed;
  if (!tell(talk, getpid()) || hear(talk) != 0) _exit(1);
  if (fresh && mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) goto failed;
  struct flock l = byte_lock(F_WRLCK, BYTE_HOLDER);
  if (!let_go(&dir, &lock, &talk) || fcntl(lock, F_SETLK, &l) < 0) goto failed;
  set_title();
  tell(talk, 0);
  close(talk);
  wait_for_end(dir, lock, user->run_dir);
  _exit(0);
failed:
  tell(talk, -errno);
  _exit(1);
}

/* Runs newuidmap or newgidmap; its own words go to stderr. */
static bool run_mapper(const char *program, pid_t pid, uint32_t own, const struct ranges *ranges) {
  char words[2 + 3 * (MAX_RANGES + 1)][24];
  const char *argv[sizeof words / sizeof *words + 2];
  char *const env[] = {NULL};
  unsigned n = 0;
  uint32_t inside = 1;
  argv[n++] = program;
  argv[n] = number(words[n], (uint64_t)pid), n++;
  for (unsigned i = 0; i <= ranges->count; i++) {
    const struct range *range = i ? &ranges->at[i - 1] : &(struct range){own, 1};
    argv[n] = number(words[n], i ? inside : 0), n++;
    argv[n] = number(words[n], range->start), n++;
    argv[n] = number(words[n], range->count), n++;
    if (i && __builtin_add_overflow(inside, range->count, &inside)) break;
  }
  argv[n] = NULL;
  int status;
  pid_t child = fork();
  if (child == 0) {
    execve(program, (char **)(uintptr_t)argv, env);
    _exit(127);
  }
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static const char *find_mapper(const char *const places[3]) {
  for (int i = 0; i < 3; i++)
    if (access(places[i], X_OK) == 0) return places[i];
  return NULL;
}

static bool write_proc(pid_t pid, const char *name, const char *text) {
  char path[64] = "/proc/", digits[24];
  strcat(strcat(path, number(digits, (uint64_t)pid)), name);
  SCOPED_FD fd = open(path, O_WRONLY | O_CLOEXEC);
  return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool map_one(pid_t pid, const char *name, uint32_t own) {
  char line[64] = "0 ", digits[24];
  strcat(strcat(line, number(digits, own)), " 1\n");
  return write_proc(pid, name, line);
}

static bool map_single(const struct user *user, pid_t pid, const char *why) {
  SAY("Only one user and group can be used: ", why,
      "; for all of them run `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ",
      user->name[0] ? user->name : "USER", "` as root, then `tare system migrate`");
  if (write_proc(pid, "/setgroups", "deny") && map_one(pid, "/uid_map", user->uid) &&
      map_one(pid, "/gid_map", user->gid))
    return true;
  SAY("Cannot map ids: ", strerror(errno));
  return false;
}

/* As podman maps: 0 is the user, from 1 on come the subordinate ids. */
static bool map_ids(const struct user *user, pid_t pid) {
  static const char *const uid_programs[3] = {"/usr/bin/newuidmap", "/run/wrappers/bin/newuidmap",
                                              "/bin/newuidmap"};
  static const char *const gid_programs[3] = {"/usr/bin/newgidmap", "/run/wrappers/bin/newgidmap",
                                              "/bin/newgidmap"};
  struct ranges uids, gids;
  subids_read("/etc/subuid", user, &uids);
  subids_read("/etc/subgid", user, &gids);
  if (!uids.count || !gids.count)
    return map_single(user, pid,
                      uids.count ? "/etc/subgid gives none to this user"
                                 : "/etc/subuid gives none to this user");
  const char *newuidmap = find_mapper(uid_programs), *newgidmap = find_mapper(gid_programs);
  if (!newuidmap || !newgidmap)
    return map_single(user, pid, "newuidmap and newgidmap are not installed (Debian package uidmap)");
  if (run_mapper(newuidmap, pid, user->uid, &uids) && run_mapper(newgidmap, pid, user->gid, &gids))
    return true;
  SAY("Cannot map the subordinate ids of ", user->name,
      ": newuidmap or newgidmap refused; check its lines in /etc/subuid and /etc/subgid, and that both "
      "programs are set-uid");
  return false;
}

static void say_no_namespace(int err) {
  SAY("Cannot make a user namespace: ", strerror(err),
      err == ENOSPC   ? "; raise the sysctl user.max_user_namespaces"
      : err == EINVAL ? "; this kernel has none (CONFIG_USER_NS)"
                      : "; allow it (sysctl kernel.unprivileged_userns_clone=1, "
                        "kernel.apparmor_restrict_unprivileged_userns=0), or run as root");
}

static bool start(const struct user *user, int dir, int lock, bool fresh) {
  int pair[2], status;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) return false;
  /* Twice: Node, which we become, knows nothing of this child. */
  pid_t between = fork();
  if (between == 0) {
    pid_t pid = fork();
    if (pid != 0) _exit(pid < 0);
    close(pair[0]);
    be_holder(user, dir, lock, pair[1], fresh);
  }
  close(pair[1]);
  SCOPED_FD talk = pair[0];
  while (between > 0 && waitpid(between, &status, 0) < 0 && errno == EINTR)
    ;
  int pid = hear(talk);
  if (pid <= 0) {
    say_no_namespace(-pid);
    return false;
  }
  if (fresh && !map_ids(user, pid)) return false;
  int end = tell(talk, 0) ? hear(talk) : -ECONNRESET;
  if (end == 0) return true;
  SAY("Cannot keep the user namespace: ", strerror(-end));
  return false;
}

bool holder_make(const struct user *user, int dir, int lock) {
  return start(user, dir, lock, true);
}

bool holder_start_here(const struct user *user, int dir, int lock) {
  return start(user, dir, lock, false);
}
