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

/* A worker that dies, of whatever, is followed by the next one. */
static _Noreturn void keep(void) {
  uint64_t pause = 0;
  for (;;) {
    uint64_t began = now_ms();
    pid_t keeper = getpid(), pid = fork();
    int status = 0;
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != keeper || confine_worker() < 0) _exit(EXIT_AGAIN);
      worker_main();
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
      ;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_DONE) _exit(0);
    if (now_ms() - began > STEADY_MS) pause = 0;
    pause_ms(pause);
    pause = pause ? pause * 2 : PAUSE_FIRST_MS;
    if (pause > PAUSE_MAX_MS) pause = PAUSE_MAX_MS;
  }
}

int main(int argc, char **argv) {
  struct rlimit files = {OPEN_FILES, OPEN_FILES};
  if (argc != 1 || strcmp(argv[0], "tare-resolver")) {
    static const char usage[] = "tare-resolver: started by tare only (docs/decisions/0040-names.md)\n";
    return write(2, usage, sizeof usage - 1) < 0 ? 125 : 125;
  }
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  signal(SIGPIPE, SIG_IGN);
  leave_session();
  setrlimit(RLIMIT_NOFILE, &files);
  fcntl(FD_CONTROL, F_SETFL, O_NONBLOCK);
  if (setns(FD_NETNS, CLONE_NEWNET) < 0 || fchdir(FD_DIR) < 0 || chroot(".") < 0 || confine_keeper() < 0)
    return 125;
  for (int fd = FD_NETNS; fd < FD_CGROUPS + 8; fd++)
    close(fd);
  close(FD_DIR);
  keep();
}
