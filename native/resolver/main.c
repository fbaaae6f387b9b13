/* Entry: goes where the networks are, gives up what it does not need, and keeps one worker alive. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resolver.h"

enum { OPEN_FILES = 8192, PAUSE_FIRST_MS = 20, PAUSE_MAX_MS = 5000, STEADY_MS = 10000 };

/* Out of the login session that started us: its end is not ours. */
static void leave_session(void) {
  for (int fd = FD_CGROUPS; fd < FD_CGROUPS + 8; fd++)
    if (write(fd, "0", 1) < 0 && errno == EBADF) return;
}

static void pause_ms(uint64_t ms) {
  struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
  nanosleep(&time, NULL);
}

/* What the worker wants to be let through, until it is gone. */
static void serve(int worker, int netlink, const char *table) {
  static struct admit_request request;
  for (;;) {
    ssize_t n = recv(worker, &request, sizeof request, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    size_t whole = offsetof(struct admit_request, list) + (size_t)request.count * sizeof request.list[0];
    int32_t error = request.count <= ADMISSIONS_MAX && (size_t)n == whole ? 0 : EINVAL;
    if (!error) error = filter_admit(netlink, table, &request);
    if (send(worker, &error, sizeof error, MSG_NOSIGNAL) < 0) return;
  }
}

/* A worker that dies, of whatever, is followed by the next one. */
static _Noreturn void keep(int netlink, int denied, const char *table) {
  uint64_t pause = 0;
  for (;;) {
    int64_t began = now_ms();
    int status = 0, pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) _exit(125);
    pid_t keeper = getpid(), pid = fork();
    if (pid == 0) {
      close(netlink);
      close(pair[0]);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      /* It may not ask later. */
      uint32_t relays = relays_max();
      if (getppid() != keeper || confine_worker() < 0) _exit(EXIT_AGAIN);
      worker_main(pair[1], denied, relays);
    }
    close(pair[1]);
    if (pid > 0) serve(pair[0], netlink, table);
    close(pair[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
      ;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DONE) _exit(0);
    if (now_ms() - began > STEADY_MS) pause = 0;
    pause_ms(pause);
    pause = pause ? pause * 2 : PAUSE_FIRST_MS;
    if (pause > PAUSE_MAX_MS) pause = PAUSE_MAX_MS;
  }
}

/* The name of our table in the packet filter, a space, and the number that it logs under. */
static bool read_name(char *name, uint16_t *group) {
  int fd = openat(FD_DIR, "filter", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, name, TABLE_NAME_MAX);
  close(fd);
  char *space = n > 0 ? strchr(name, ' ') : NULL;
  if (!space) return false;
  *space = 0;
  *group = (uint16_t)strtoul(space + 1, NULL, 10);
  return true;
}

int main(int argc, char **argv) {
  static char table[TABLE_NAME_MAX + 1];
  uint16_t group;
  struct rlimit files;
  if (argc != 1 || strcmp(argv[0], "tare-resolver")) {
    static const char usage[] = "tare-resolver: started by tare only (docs/decisions/0040-names.md)\n";
    return write(2, usage, sizeof usage - 1) < 0 ? 125 : 125;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  signal(SIGPIPE, SIG_IGN);
  leave_session();
  /* A user may have less than that. */
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    if (files.rlim_max > OPEN_FILES) files.rlim_max = OPEN_FILES;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  fcntl(FD_CONTROL, F_SETFL, O_NONBLOCK);
  if (setns(FD_NETNS, CLONE_NEWNET) < 0 || !read_name(table, &group)) return 125;
  int netlink = filter_open(), denied = filter_listen(group);
  if (netlink < 0 || fchdir(FD_DIR) < 0 || chroot(".") < 0 || confine_keeper() < 0) return 125;
  for (int fd = FD_DIR; fd < FD_CGROUPS + 8; fd++)
    if (fd != FD_CONTROL && fd != FD_EVENTS && fd != netlink && fd != denied) close(fd);
  keep(netlink, denied, table);
}
