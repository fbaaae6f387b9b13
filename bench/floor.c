/*
 * The floor: what the kernel itself takes for a container. Makes the cgroup directories, all namespaces, an
 * overlay, /proc, /dev and /sys, pivots, executes a program, waits, and removes the cgroups. No seccomp, no
 * masks, no record, no monitor.
 *
 *   floor [-n COUNT | -s] ROOTFS WORK CGROUP… -- PROGRAM ARG…
 *
 * WORK: an empty directory for upper and work directories. CGROUP: existing directories in which each run
 * makes its own. -n COUNT: that many runs, each one's nanoseconds on a line of stdout. -s: one run per byte
 * read from stdin. Neither: one silent run.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

struct job {
  const char *rootfs, *work;
  char **cgroups;
  int cgroup_count;
  char **program;
};

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *step) {
  fprintf(stderr, "floor: %s: %s\n", step, strerror(errno));
  _exit(1);
}

static void check(int result, const char *step) {
  if (result < 0) die(step);
}

__attribute__((format(printf, 2, 3))) static void path(char out[PATH_BYTES], const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(out, PATH_BYTES, format, args);
  va_end(args);
  if (n < 0 || n >= PATH_BYTES) {
    errno = ENAMETOOLONG;
    die("path");
  }
}

static void make_dev(void) {
  static const struct {
    const char *name;
    unsigned major, minor;
  } nodes[] = {{"dev/null", 1, 3},   {"dev/zero", 1, 5},    {"dev/full", 1, 7},
               {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
  check(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"), "mount dev");
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
    check(mknod(nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)), nodes[i].name);
  check(mkdir("dev/pts", 0755), "mkdir dev/pts");
  check(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"),
        "mount devpts");
  check(mkdir("dev/shm", 01777), "mkdir dev/shm");
  check(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k"),
        "mount shm");
  check(mkdir("dev/mqueue", 0755), "mkdir dev/mqueue");
  check(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount mqueue");
}

/* The container's side. `go` reads end of file when the parent has put us into the cgroups. */
static void inside(const struct job *job, const char *upper, const char *work, const char *target, int go) {
  char byte, options[3 * PATH_BYTES];
  check((int)read(go, &byte, 1), "wait for parent");
  check(unshare(CLONE_NEWCGROUP), "unshare cgroup");
  check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "make private");
  int n = snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", job->rootfs, upper, work);
  if (n < 0 || n >= (int)sizeof options) {
    errno = ENAMETOOLONG;
    die("overlay");
  }
  check(mount("overlay", target, "overlay", 0, options), "mount overlay");
  check(chdir(target), "chdir");
  check(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
  check(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL), "mount sys");
  make_dev();
  check((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
  check(umount2(".", MNT_DETACH), "umount old root");
  check(chdir("/"), "chdir /");
  check(sethostname("floor", 5), "sethostname");
  execv(job->program[0], job->program);
  die("execv");
}

static void write_pid(const char *cgroup, pid_t pid) {
  char name[PATH_BYTES], text[32];
  path(name, "%s/cgroup.procs", cgroup);
  int fd = open(name, O_WRONLY | O_CLOEXEC);
  check(fd, name);
  int n = snprintf(text, sizeof text, "%d", (int)pid);
  check((int)write(fd, text, (size_t)n), name);
  close(fd);
}

static void run(const struct job *job, unsigned long number) {
  char base[PATH_BYTES], upper[PATH_BYTES], work[PATH_BYTES], inner[PATH_BYTES], target[PATH_BYTES],
      cgroup[PATH_BYTES];
  path(base, "%s/%d-%lu", job->work, (int)getpid(), number);
  path(upper, "%s/u", base);
  path(work, "%s/w", base);
  path(inner, "%s/w/work", base);
  path(target, "%s/m", base);
  check(mkdir(base, 0700), "mkdir");
  check(mkdir(upper, 0755), "mkdir upper");
  check(mkdir(work, 0755), "mkdir work");
  check(mkdir(target, 0755), "mkdir target");
  for (int i = 0; i < job->cgroup_count; i++) {
    path(cgroup, "%s/floor-%d-%lu", job->cgroups[i], (int)getpid(), number);
    check(mkdir(cgroup, 0755), cgroup);
  }
  int go[2];
  check(pipe2(go, O_CLOEXEC), "pipe");
  const unsigned long flags =
      CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | (unsigned long)SIGCHLD;
  pid_t pid = (pid_t)syscall(SYS_clone, flags, NULL, NULL, NULL, 0);
  check(pid, "clone");
  if (pid == 0) {
    close(go[1]);
    inside(job, upper, work, target, go[0]);
  }
  close(go[0]);
  for (int i = 0; i < job->cgroup_count; i++) {
    path(cgroup, "%s/floor-%d-%lu", job->cgroups[i], (int)getpid(), number);
    write_pid(cgroup, pid);
  }
  close(go[1]);
  int status;
  check(waitpid(pid, &status, 0), "waitpid");
  for (int i = 0; i < job->cgroup_count; i++) {
    path(cgroup, "%s/floor-%d-%lu", job->cgroups[i], (int)getpid(), number);
    check(rmdir(cgroup), cgroup);
  }
  if (rmdir(inner) && errno != ENOENT) die("rmdir work/work");
  const char *left[] = {work, upper, target, base};
  for (size_t i = 0; i < sizeof left / sizeof left[0]; i++)
    check(rmdir(left[i]), left[i]);
  if (status != 0) {
    fprintf(stderr, "floor: the program failed: wait status %d\n", status);
    exit(1);
  }
}

int main(int argc, char **argv) {
  unsigned long count = 1;
  int report = 0, serve = 0, option;
  while ((option = getopt(argc, argv, "+n:s")) != -1) {
    if (option == 'n') {
      count = strtoul(optarg, NULL, 10);
      report = 1;
    } else if (option == 's') {
      serve = 1;
    } else {
      return 2;
    }
  }
  int split = optind;
  while (split < argc && strcmp(argv[split], "--") != 0)
    split++;
  if (split < optind + 2 || split + 1 >= argc) {
    fprintf(stderr, "usage: floor [-n COUNT | -s] ROOTFS WORK CGROUP... -- PROGRAM ARG...\n");
    return 2;
  }
  struct job job = {argv[optind], argv[optind + 1], argv + optind + 2, split - optind - 2, argv + split + 1};
  for (unsigned long i = 0; serve || i < count; i++) {
    char byte;
    if (serve && read(0, &byte, 1) <= 0) break;
    int64_t begin = now();
    run(&job, i);
    if (report || serve) {
      printf("%lld\n", (long long)(now() - begin));
      fflush(stdout);
    }
  }
  return 0;
}
