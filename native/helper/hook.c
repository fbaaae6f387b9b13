#include "hook.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static const char marker[] = "\"pid\":0";

static _Noreturn void hook_child(const struct hook *hook, const char **argv, const char **env, int in,
                                 int report) {
  if (dup2(in, 0) < 0) _exit(126);
  signals_unblock();
  execve(hook->path, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
  int err = errno;
  if (write(report, &err, sizeof err) < 0) _exit(126);
  _exit(127);
}

static int write_state(const struct hook *hook, pid_t pid, int fd) {
  const char *hole = strstr(hook->state, marker);
  if (!hole) return write_all(fd, hook->state, strlen(hook->state));
  struct text number = {0};
  text_num(&number, (uint64_t)pid);
  size_t before = (size_t)(hole - hook->state) + sizeof marker - 2;
  if (write_all(fd, hook->state, before) < 0 || write_all(fd, number.s, number.len) < 0) return -1;
  return write_all(fd, hook->state + before + 1, strlen(hook->state) - before - 1);
}

/* Never blocks, and leaves no SIGPIPE behind: a hook need not read its state. */
static void send_state(const struct hook *hook, pid_t pid, int fd) {
  sigset_t pipe_only;
  struct timespec now = {0};
  size_t len = strlen(hook->state) + 32;
  if (len > 65536) fcntl(fd, F_SETPIPE_SZ, (int)len);
  set_nonblock(fd);
  write_state(hook, pid, fd);
  sigemptyset(&pipe_only);
  sigaddset(&pipe_only, SIGPIPE);
  sigtimedwait(&pipe_only, NULL, &now);
}

/* The wait status, or -1 with ETIMEDOUT after killing it. */
static int wait_for(pid_t child, uint32_t timeout_ms, int *status) {
  SCOPED_FD pidfd = pidfd_open(child, 0);
  struct pollfd p = {pidfd, POLLIN, 0};
  bool late = timeout_ms && pidfd >= 0 && poll(&p, 1, timeout_ms > INT32_MAX ? -1 : (int)timeout_ms) == 0;
  if (late) kill(child, SIGKILL);
  while (waitpid(child, status, 0) < 0)
    if (errno != EINTR) return -1;
  return late ? fail_with(ETIMEDOUT) : 0;
}

int hook_run(const struct hook *hook, pid_t pid, struct text *text) {
  text_add(text, hook->path);
  const char **argv = strv_array(hook->argv), **env = strv_array(hook->env);
  int in[2] = {-1, -1}, report[2] = {-1, -1}, status = 0, exec_error = 0;
  int r = -1;
  if (argv && env && pipe2(in, O_CLOEXEC) == 0 && pipe2(report, O_CLOEXEC) == 0) {
    pid_t child = fork();
    if (child == 0) hook_child(hook, argv, env, in[0], report[1]);
    close_and_clear(&in[0]);
    close_and_clear(&report[1]);
    if (child > 0) {
      send_state(hook, pid, in[1]);
      close_and_clear(&in[1]);
      bool failed_exec = read(report[0], &exec_error, sizeof exec_error) == sizeof exec_error;
      r = wait_for(child, hook->timeout_ms, &status);
      if (failed_exec) r = fail_with(exec_error);
    }
  }
  int err = errno;
  for (int i = 0; i < 2; i++) {
    close_and_clear(&in[i]);
    close_and_clear(&report[i]);
  }
  free(argv);
  free(env);
  if (r < 0) return fail_with(err);
  if (status == 0) return 0;
  text_add(text, WIFSIGNALED(status) ? ": killed by signal " : ": exit status ");
  text_num(text, (uint64_t)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
  return fail_with(ECANCELED);
}
