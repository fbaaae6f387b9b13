/* Process attributes, and the end of init: the seccomp filter and execve. */
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "hook.h"
#include "init.h"

#define KEYCTL_JOIN_SESSION 1
#define KEYCTL_SETPERM 5
/* Possessor everything; user view, read, search, link. */
#define KEYRING_MODE 0x3f1b0000
#define CLOSE_CLOEXEC 4u
#define NULL_DEVICE makedev(1, 3)

int close_range(unsigned first, unsigned last, int flags);

int step_sysctl(struct init *in, const struct op *op) {
  struct text path = {0};
  if (in->proc_all < 0) in->proc_all = in->pivoted ? proc_visible(init_root(in)) : proc_private(false);
  if (in->proc_all < 0) return -1;
  text_add(&path, "sys/");
  text_add(&path, op->f[0].s);
  return proc_write(in->proc_all, path.s, op->f[1].s, op->f[1].len);
}

int step_proc_attr(struct init *in, const struct op *op) {
  struct text path = {0};
  if (in->proc < 0) in->proc = proc_private(true);
  if (in->proc < 0) in->proc = proc_visible(init_root(in));
  if (in->proc < 0) return -1;
  text_num(&path, (uint64_t)getpid());
  text_add(&path, "/");
  text_add(&path, op->f[0].s);
  return proc_write(in->proc, path.s, op->f[1].s, op->f[1].len);
}

int step_hook_here(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  struct hook hook = {
      .path = f[0].s, .argv = &f[1], .env = &f[2], .timeout_ms = (uint32_t)f[3].n, .state = f[4].s};
  return hook_run(&hook, getpid(), &in->text);
}

int step_keyring(const struct op *op) {
  long id = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION, op->f[0].s, 0, 0, 0);
  if (id < 0) return errno == ENOSYS ? 0 : -1;
  syscall(SYS_keyctl, KEYCTL_SETPERM, id, KEYRING_MODE, 0, 0);
  return 0;
}

int step_scheduler(const struct op *op) {
  const struct field *f = op->f;
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } attr = {48, (uint32_t)f[0].n, f[1].n, (int32_t)f[2].n, (uint32_t)f[3].n, f[4].n, f[5].n, f[6].n};
  return (int)syscall(SYS_sched_setattr, 0, &attr, 0);
}

int step_memory_policy(const struct op *op) {
  unsigned long nodes[128] = {0};
  memcpy(nodes, op->f[2].s, op->f[2].len);
  unsigned long bits = (unsigned long)op->f[2].len * 8;
  return (int)syscall(SYS_set_mempolicy, (int)(op->f[0].n | op->f[1].n), bits ? nodes : NULL,
                      bits ? bits + 1 : 0);
}

/* A null device of the container itself where there is a real one: the host's is a way to its mount. */
static int open_null(struct init *in) {
  SCOPED_FD fd = path_open2(init_root(in), "/dev/null", O_RDWR | O_NONBLOCK | O_NOCTTY, 0,
                            RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != NULL_DEVICE) return -1;
  return fcntl(fd, F_SETFL, 0) < 0 ? -1 : fd_take(&fd);
}

/* Puts stdio and the preserved descriptors in place: first out of each other's way, then down. */
static int arrange_fds(struct init *in) {
  int keep[3 + PLAN_MAX_FDS], count = 3, null = -1;
  struct cursor c = plan_begin(in->plan);
  struct op op;
  for (int i = 0; i < 3; i++) {
    if (in->stdio[i] < 0 && null < 0) null = open_null(in);
    keep[i] = in->stdio[i] >= 0 ? in->stdio[i] : null >= 0 ? null : i;
  }
  while (plan_next(&c, &op) == 1)
    if (op.code == OP_PRESERVE) keep[count++] = op.f[0].fd;
  for (int i = 0; i < count; i++)
    if (keep[i] < count && keep[i] != i && (keep[i] = fcntl(keep[i], F_DUPFD_CLOEXEC, count)) < 0) return -1;
  if (in->sync < count && (in->sync = fcntl(in->sync, F_DUPFD_CLOEXEC, count)) < 0) return -1;
  if (in->root >= 0 && in->root < count && (in->root = fcntl(in->root, F_DUPFD_CLOEXEC, count)) < 0)
    return -1;
  for (int i = 0; i < count; i++)
    if (keep[i] == i ? fcntl(i, F_SETFD, 0) < 0 : dup2(keep[i], i) < 0) return -1;
  return close_range((unsigned)count, ~0u, (int)CLOSE_CLOEXEC);
}

int init_announce(struct init *in) {
  if (in->announced) return 0;
  umask(in->umask);
  if (arrange_fds(in) < 0) return -1;
  in->announced = true;
  /* Fails when the monitor died meanwhile: then nobody would record how we end. */
  return sync_send(in->sync, SYNC_EXEC, 0);
}

int step_seccomp(struct init *in, const struct op *op) {
  struct sock_fprog program = {(unsigned short)(op->f[1].len / 8), NULL};
  if (op->f[0].n & SECCOMP_FILTER_FLAG_NEW_LISTENER) return fail_with(EOPNOTSUPP);
  /* The payload is packed; the kernel copies it, so alignment does not matter to it. */
  program.filter = (struct sock_filter *)(uintptr_t)op->f[1].s;
  if (init_announce(in) < 0) return -1;
  long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)op->f[0].n, &program);
  return r == 0 ? 0 : r > 0 ? fail_with(ESRCH) : -1;
}

/* Like execvp: what is wrong with a candidate that exists matters more than that others do not exist. */
static int exec_candidates(struct init *in, const struct op *op, const char **argv, const char **env) {
  int err = 0;
  const char *at = op->f[0].s, *blamed = argv[0];
  for (uint64_t i = 0; i < op->f[0].n; i++) {
    const char *path = strv_next(&at);
    execve(path, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
    /* A file where $PATH has a directory hides nothing; in a path that was named it is what is wrong. */
    bool absent = errno == ENOENT || (errno == ENOTDIR && op->f[0].n > 1);
    if (!err || (!absent && err == ENOENT)) {
      err = absent ? ENOENT : errno;
      if (!absent) blamed = path;
    }
    if (!absent && errno != EACCES) break;
  }
  text_add(&in->text, blamed);
  return fail_with(err);
}

static _Noreturn void exec_payload(struct init *in, const struct op *op, const char **argv,
                                   const char **env) {
  setpgid(0, 0);
  if (isatty(0)) {
    sigset_t out;
    sigemptyset(&out);
    sigaddset(&out, SIGTTOU);
    sigprocmask(SIG_BLOCK, &out, NULL);
    tcsetpgrp(0, getpid());
  }
  signals_unblock();
  exec_candidates(in, op, argv, env);
  int err = errno;
  sync_fail(in->sync, op->index, err, in->text.s);
  _exit(err == ENOENT ? 127 : 126);
}

int step_exec(struct init *in, const struct op *op) {
  const char **argv = strv_array(&op->f[1]), **env = strv_array(&op->f[2]);
  if (!argv || !env) return -1;
  if (init_announce(in) < 0) return -1;
  if (!op->f[3].n) {
    signals_unblock();
    return exec_candidates(in, op, argv, env);
  }
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) exec_payload(in, op, argv, env);
  close_range(0, ~0u, 0);
  init_reap(child);
}

/* Signals are all blocked since the monitor started; they are taken one by one here. */
void init_reap(pid_t child) {
  sigset_t all;
  sigfillset(&all);
  for (;;) {
    int signal = sigwaitinfo(&all, NULL);
    if (signal < 0) continue;
    if (signal != SIGCHLD) {
      if (signal != SIGTTIN && signal != SIGTTOU) kill(child, signal);
      continue;
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
      if (pid == child) _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  }
}

/* It executes nothing: what it keeps is its namespaces. */
int step_pause(struct init *in) {
  sigset_t all;
  if (init_announce(in) < 0) return -1;
  close_range(0, ~0u, 0);
  sigfillset(&all);
  for (;;) {
    int signal = sigwaitinfo(&all, NULL);
    if (signal == SIGTERM || signal == SIGINT || signal == SIGQUIT) _exit(0);
    if (signal != SIGCHLD) continue;
    while (waitpid(-1, NULL, WNOHANG) > 0)
      continue;
  }
}
