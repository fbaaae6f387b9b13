/* Entry: makes sure nobody can write to what is being executed, then becomes the monitor. */
#include <linux/mount.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "monitor.h"

int open_tree(int dir, const char *path, unsigned flags);
int mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr, size_t size);
int execveat(int dir, const char *path, char *const argv[], char *const env[], int flags);

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool is_sealed(int self) {
  struct statvfs fs;
  int seals = fcntl(self, F_GET_SEALS);
  if (seals >= 0) return (seals & SEALS) == SEALS;
  return fstatvfs(self, &fs) == 0 && fs.f_flag & ST_RDONLY;
}

/* A read-only view of our own file; shared by all monitors, so it costs no memory. */
static int readonly_clone(void) {
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
  SCOPED_FD tree = open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0) return -1;
  return fd_take(&tree);
}

static int sealed_copy(int self) {
  struct stat st;
  SCOPED_FD copy = memfd_create("tare-helper", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (copy < 0 || fstat(self, &st) < 0) return -1;
  for (off_t at = 0; at < st.st_size;)
    if (sendfile(copy, self, &at, (size_t)(st.st_size - at)) <= 0) return -1;
  if (fchmod(copy, 0500) < 0 || fcntl(copy, F_ADD_SEALS, SEALS) < 0) return -1;
  return fd_take(&copy);
}

/* Executes itself again from a place that cannot be written; only returns when it is there. */
static void seal(char **argv) {
  SCOPED_FD self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) _exit(125);
  if (is_sealed(self)) return;
  for (int copy = 0; copy < 2; copy++) {
    SCOPED_FD image = copy ? sealed_copy(self) : readonly_clone();
    if (image >= 0) execveat(image, "", argv, environ, AT_EMPTY_PATH);
  }
  _exit(125);
}

/* Every signal blocked for good and back to its default: children only have to unblock. */
static void reset_signals(void) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  for (int signo = 1; signo <= 64; signo++)
    if (signo != SIGKILL && signo != SIGSTOP && signo != 32 && signo != 33) signal(signo, SIG_DFL);
}

int main(int argc, char **argv) {
  if (argc != 1 || strcmp(argv[0], "tare-monitor")) {
    static const char usage[] = "tare-helper: started by tare only (docs/reference/plan.md)\n";
    return write(2, usage, sizeof usage - 1) < 0 ? 125 : 125;
  }
  undumpable();
  seal(argv);
  undumpable();
  reset_signals();
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  monitor_main(argv);
}
