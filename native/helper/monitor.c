/* The life of a container, from its Plan to its exit record. */
#include "monitor.h"

#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "hook.h"
#include "path.h"

#define CONTROL_FD 3

static const char *const phase_names[] = {"", "phase.creating", "phase.initialized", "phase.running",
                                          "phase.exited"};

int source_arm(struct monitor *m, struct source *s, uint32_t events) {
  if (s->events == events || s->fd < 0) return 0;
  struct epoll_event e = {.events = events, .data.ptr = s};
  int how = s->events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  s->events = events;
  return epoll_ctl(m->epoll, how, s->fd, &e);
}

void source_close(struct monitor *m, struct source *s) {
  source_arm(m, s, 0);
  close_and_clear(&s->fd);
}

int phase_set(struct monitor *m, enum phase next) {
  /* A start finds a container that is new, was created before, ran before, or is handed over to run again. */
  static const char *const before_start[] = {"phase.creating", "phase.created", "phase.exited",
                                             "phase.running"};
  bool starts = m->phase == PHASE_CREATING;
  for (size_t i = 0; i < (starts ? sizeof before_start / sizeof *before_start : 1); i++) {
    const char *from = starts ? before_start[i] : phase_names[m->phase];
    if (renameat(m->state_dir, from, m->state_dir, phase_names[next]) == 0) {
      m->phase = next;
      return 0;
    }
    if (errno != ENOENT) break;
  }
  return -1;
}

void session_kill(struct session *s, int signo) {
  if (!s->exited && s->process.pidfd >= 0) pidfd_send_signal(s->process.pidfd, signo, NULL, 0);
}

void container_kill(struct monitor *m) {
  session_kill(&m->main, SIGKILL);
  cgroup_thaw(&m->cgroup);
}

void container_fail(struct monitor *m, uint32_t step, int err, const char *text) {
  if (m->main.state == SESSION_FAILED) return;
  m->main.state = SESSION_FAILED;
  m->main.fail = (struct failure){.step = step, .err = err};
  text_add(&m->main.fail.text, text);
  container_kill(m);
}

void container_go(struct monitor *m) {
  if (sync_send(m->main.process.sync, SYNC_GO, 0) < 0) container_kill(m);
}

/* Runs the hooks of a stage; only the first stage stops at a failure. */
bool hooks_run(struct monitor *m, uint32_t stage) {
  struct cursor c = plan_begin(&m->main.plan);
  struct op op;
  while (plan_next(&c, &op) == 1) {
    if (op.code != OP_HOOK || op.f[0].n != stage) continue;
    struct hook hook = {.path = op.f[1].s,
                        .argv = &op.f[2],
                        .env = &op.f[3],
                        .timeout_ms = (uint32_t)op.f[4].n,
                        .state = op.f[5].s};
    struct text text = {0};
    if (hook_run(&hook, stage == 3 ? 0 : m->main.process.pid, &text) == 0 || stage != 1) continue;
    container_fail(m, op.index, errno, text.s);
    return false;
  }
  return true;
}

static void barrier(struct monitor *m, uint32_t kind) {
  if (kind == PLAN_BARRIER_RUNTIME_HOOKS) {
    if (hooks_run(m, 1)) container_go(m);
    return;
  }
  if (m->main.state == SESSION_NEW) m->main.state = SESSION_READY;
  if (m->autostart || m->phase == PHASE_RUNNING) return container_go(m);
  if (record_pid(m->state_dir, m->proc, m->main.process.pid) < 0 || phase_set(m, PHASE_CREATED) < 0)
    return container_fail(m, NO_STEP, errno, "state directory");
  event_emit(m, "init", NULL);
  client_number(m, NULL, FRAME_READY, (uint32_t)m->main.process.pid);
}

static void container_started(struct monitor *m) {
  if (m->phase == PHASE_CREATED) unlinkat(m->state_dir, "restarts", 0);
  if (m->phase == PHASE_CREATING && m->restart.count) restart_begin(m);
  /* Written again for one that waited: the file's time is that of the start. */
  if (record_pid(m->state_dir, m->proc, m->main.process.pid) < 0 ||
      (m->phase != PHASE_RUNNING && phase_set(m, PHASE_RUNNING) < 0))
    return container_fail(m, NO_STEP, errno, "state directory");
  if (!m->is_volatile) record_reserve(m->state_dir);
  m->main.state = SESSION_STARTED;
  event_emit(m, "start", NULL);
  client_number(m, NULL, FRAME_STARTED, (uint32_t)m->main.process.pid);
  if (m->starter) client_number(m, m->starter, FRAME_OK, m->start_req);
  m->starter = NULL;
  hooks_run(m, 2);
  if (m->limit_ms && timer_set(m, TIMER_LIMIT, m->limit_ms) < 0) container_kill(m);
  health_begin(m);
}

static void session_started(struct monitor *m, struct session *s) {
  clock_gettime(CLOCK_REALTIME, &s->exit.started);
  if (s == &m->main) return container_started(m);
  s->state = SESSION_STARTED;
  if (s->checks) return;
  event_exec(m, "exec_start", s);
  struct frame f = {0};
  frame_u32(&f, s->req);
  frame_u32(&f, (uint32_t)s->process.pid);
  if (s->client) client_reply(m, s->client, false, FRAME_EXEC_STARTED, &f);
}

static void session_failed(struct monitor *m, struct session *s, uint32_t step, int err, const char *text) {
  if (s == &m->main) return container_fail(m, step, err, text);
  if (s->state == SESSION_FAILED) return;
  s->state = SESSION_FAILED;
  s->fail = (struct failure){.step = step, .err = err};
  text_add(&s->fail.text, text);
  session_kill(s, SIGKILL);
}

static void session_settle(struct monitor *m, struct session *s) {
  struct spawn_fail fail;
  if (spawn_settle(&s->plan, &s->process, m->proc, &fail) < 0) session_failed(m, s, fail.step, fail.err, "");
}

static void sync_message(struct monitor *m, struct session *s, const struct sync_message *msg, int fd) {
  struct text text = {0};
  switch (msg->type) {
  case SYNC_PID:
    if (s->process.pid == 0) {
      s->process.pid = (pid_t)msg->value;
      session_settle(m, s);
    }
    break;
  case SYNC_BARRIER:
    if (s == &m->main)
      barrier(m, msg->value);
    else
      sync_send(s->process.sync, SYNC_GO, 0);
    break;
  case SYNC_TTY:
    if (fd >= 0 && s->mode == PLAN_STDIO_PTY && s->out.fd < 0) session_take_pty(m, s, fd_take(&fd));
    break;
  case SYNC_EXEC:
    if (s->state != SESSION_FAILED) s->state = SESSION_EXECUTING;
    break;
  case SYNC_FAIL:
    text_add_bytes(&text, msg->text, msg->len);
    session_failed(m, s, msg->value, msg->err, text.s);
  }
  close_and_clear(&fd);
}

/* The process has executed its program, or never will. */
static void sync_over(struct monitor *m, struct session *s) {
  source_close(m, &s->sync);
  s->process.sync = -1;
  if (s->state == SESSION_EXECUTING)
    session_started(m, s);
  else if (s->state == SESSION_NEW)
    session_failed(m, s, NO_STEP, ECHILD, "the process died before exec");
}

/* Takes everything the process said. */
static void sync_ready(struct monitor *m, struct session *s) {
  struct sync_message msg;
  int fd, r;
  while (s->sync.fd >= 0 && (r = sync_receive(s->sync.fd, &msg, &fd)) == 1)
    sync_message(m, s, &msg, fd);
  if (s->sync.fd < 0 || (r < 0 && errno == EAGAIN)) return;
  sync_over(m, s);
}

void exec_end(struct monitor *m, struct session *s) {
  session_drain(m, s);
  /* Nothing of a session that is freed may be waited for. */
  source_close(m, &s->sync);
  struct frame f = {0};
  frame_str(&f, s->id, strlen(s->id));
  frame_u32(&f, s->exit.code);
  frame_u32(&f, s->exit.signal);
  if (s->checks) {
    if (m->health.check == s) health_result(m, s);
  } else if (s->state == SESSION_FAILED) {
    if (s->client) client_failed(m, s->client, s->req, &s->fail);
  } else {
    if (s->detached && s->has_id) record_exit(m->state_dir, "exec", s->id, &s->exit, m->is_volatile);
    if (s->client) client_reply(m, s->client, true, FRAME_EXEC_EXIT, &f);
    event_exec(m, "exec_die", s);
  }
  for (struct session **at = &m->execs; *at; at = &(*at)->next)
    if (*at == s) {
      *at = s->next;
      break;
    }
  close_and_clear(&s->process.pidfd);
  plan_unload(&s->plan);
  s->next = m->ended;
  m->ended = s;
}

static struct session *session_of(struct monitor *m, pid_t pid) {
  if (m->main.process.pid == pid && !m->main.exited) return &m->main;
  for (struct session *s = m->execs; s; s = s->next)
    if (s->process.pid == pid) return s;
  return NULL;
}

void monitor_reap(void *arg) {
  struct monitor *m = arg;
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    struct session *s = session_of(m, pid);
    /* Not a process we know: an intermediate one that may have failed, or an orphan. */
    if (!s) continue;
    sync_ready(m, s);
    /* A dead process says nothing more, also while its intermediate one still holds the other end. */
    if (s->sync.fd >= 0) sync_over(m, s);
    s->exited = true;
    s->status = status;
    exit_info_status(&s->exit, status);
    if (s != &m->main) exec_end(m, s);
  }
  /* A session whose intermediate process died has no process at all. */
  for (struct session *s = m->execs, *next; s; s = next) {
    next = s->next;
    if (s->process.pid) continue;
    sync_ready(m, s);
    if (s->state == SESSION_FAILED) exec_end(m, s);
  }
  if (m->main.process.pid == 0) sync_ready(m, &m->main);
}

void monitor_run(const struct monitor *m, uint32_t code) {
  struct op op;
  if (!plan_find(&m->main.plan, code, &op)) return;
  const char **argv = strv_array(&op.f[0]), **env = strv_array(&op.f[1]);
  if (argv && env && fork() == 0) {
    setsid();
    signals_unblock();
    execve(argv[0], (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
    _exit(127);
  }
  free(argv);
  free(env);
}

void stop_begin(struct monitor *m, uint32_t signo, int32_t timeout_ms) {
  if (signo == 0) signo = m->stop_signal;
  if (timeout_ms == -1) timeout_ms = m->stop_timeout_ms > INT32_MAX ? INT32_MAX : (int32_t)m->stop_timeout_ms;
  /* Before exec it is our own code that waits there, deaf to everything else. */
  if (m->main.state != SESSION_STARTED || timeout_ms == 0) return container_kill(m);
  session_kill(&m->main, (int)signo);
  event_signal(m, signo);
  if (signo == SIGKILL) cgroup_thaw(&m->cgroup);
  if (timeout_ms < 0) return;
  if (timer_set(m, TIMER_STOP, (uint32_t)timeout_ms) < 0) container_kill(m);
}

static void accept_clients(struct monitor *m) {
  for (int fd; (fd = accept4(m->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
    struct ucred peer;
    socklen_t len = sizeof peer;
    bool known =
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
    if (known)
      client_add(m, fd, false);
    else
      close(fd);
  }
}

static void dispatch(struct monitor *m, struct source *src, uint32_t events) {
  struct signalfd_siginfo info;
  bool terminated = false;
  switch (src->kind) {
  case SOURCE_SIGNALS:
    while (read(src->fd, &info, sizeof info) > 0)
      terminated |= info.ssi_signo == SIGTERM;
    monitor_reap(m);
    if (terminated) system_stops(m);
    break;
  case SOURCE_LISTEN:
    accept_clients(m);
    break;
  case SOURCE_TIMER:
    timer_fired(m, src);
    break;
  case SOURCE_CLIENT:
    client_event(m, src->owner, events);
    break;
  case SOURCE_SYNC:
    sync_ready(m, src->owner);
    break;
  case SOURCE_STDIN:
    session_stdin_ready(m, src->owner);
    break;
  case SOURCE_STDOUT:
  case SOURCE_STDERR:
    session_output(m, src->owner, src);
  }
}

int container_start(struct monitor *m) {
  struct op op;
  int given[3] = {-1, -1, -1};
  if (m->main.mode == PLAN_STDIO_FDS && plan_find(&m->main.plan, OP_STDIO, &op))
    for (int i = 0; i < 3; i++)
      given[i] = op.f[3 + i].fd;
  if (m->restart.able && nest_clone(m) < 0) return -1;
  int r = session_start(m, &m->main, m->main.mode == PLAN_STDIO_FDS ? given : NULL), err = errno;
  if (r == 0) monitor_leave_session(m);
  monitor_close_plan_fds(m);
  if (r < 0) return fail_with(err);
  if (m->main.process.pid) session_settle(m, &m->main);
  return 0;
}

static bool has_taker(struct monitor *m) {
  for (struct client *c = m->clients; c; c = c->next)
    if (c->takes) return true;
  return false;
}

/* After the end: leaves when nobody cleans up any more and everything is delivered. True: leave now. */
static bool may_leave(struct monitor *m) {
  if (!m->over || has_taker(m)) return false;
  if (m->life >= 0) {
    if (m->listen_name) unlinkat(m->listen_dir, m->listen_name, 0);
    source_close(m, &m->listener);
    if (!m->failed && !m->cleaned) monitor_run(m, OP_ON_EXIT);
    close_and_clear(&m->life);
  }
  for (struct client *c = m->clients; c; c = c->next)
    if (c->queued) return false;
  return true;
}

static void free_graves(struct monitor *m) {
  for (struct client *c; (c = m->graves);) {
    m->graves = c->next;
    free(c->in);
    free(c);
  }
  for (struct session *s; (s = m->ended);) {
    m->ended = s->next;
    free(s);
  }
}

static bool main_is_over(const struct monitor *m) {
  if (m->over || m->restart.waiting) return false;
  return m->main.exited ||
         (m->main.state == SESSION_FAILED && m->main.process.pid == 0 && m->main.sync.fd < 0);
}

static void loop(struct monitor *m) {
  struct epoll_event events[16];
  while (!may_leave(m)) {
    int n = epoll_wait(m->epoll, events, 16, -1);
    for (int i = 0; i < n; i++) {
      struct source *s = events[i].data.ptr;
      if (s->fd >= 0 && s->events) dispatch(m, s, events[i].events);
    }
    if (main_is_over(m)) container_over(m);
    free_graves(m);
    if (m->main.state == SESSION_STARTED && !m->trimmed) {
      madvise((void *)(uintptr_t)m->main.plan.bytes, m->main.plan.mapped, MADV_DONTNEED);
      m->trimmed = true;
    }
  }
}

/* Started before there is a Plan, while the starter is still making one. A starter that gives up leaves
 * nothing. */
static void await_plan(struct monitor *m) {
  struct pollfd control = {.events = POLLIN};
  while (!m->planned) {
    if (!m->clients) _exit(0);
    control.fd = m->clients->source.fd;
    if (poll(&control, 1, -1) > 0) client_event(m, m->clients, EPOLLIN);
  }
}

void monitor_blank(struct monitor *m) {
  *m = (struct monitor){.phase = PHASE_CREATING,
                        .epoll = -1,
                        .rootfs = -1,
                        .life = -1,
                        .state_dir = -1,
                        .stop_signal = SIGTERM,
                        .stop_timeout_ms = 10000,
                        .cgroup = {.root = -1},
                        .events = {.dir = -1},
                        .log = {.fd = -1}};
  for (int i = 0; i < TIMERS; i++)
    m->timers[i] = (struct source){.fd = -1, .kind = SOURCE_TIMER};
  m->listener.fd = m->main.in.fd = m->main.out.fd = m->main.err.fd = m->main.sync.fd = -1;
  m->main.process = (struct spawned){.pidfd = -1, .sync = -1};
  m->main.fail.step = NO_STEP;
}

void monitor_main(char **argv) {
  static struct monitor monitor;
  struct monitor *m = &monitor;
  sigset_t heard;
  monitor_blank(m);
  m->argv = argv;
  sigemptyset(&heard);
  sigaddset(&heard, SIGCHLD);
  sigaddset(&heard, SIGTERM);
  m->signals =
      (struct source){.fd = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK), .kind = SOURCE_SIGNALS};
  m->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (m->epoll < 0 || source_arm(m, &m->signals, EPOLLIN) < 0 || !client_add(m, CONTROL_FD, true)) _exit(125);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  m->proc = proc_visible(AT_FDCWD);
  await_plan(m);
  /* What the starter asked for already (attach, take) holds from the first byte on. */
  for (struct client *c = m->clients; c && !m->failed; c = c->next)
    client_event(m, c, EPOLLIN);
  if (m->failed || container_start(m) < 0) {
    if (!m->failed) m->main.fail.err = errno;
    m->main.state = SESSION_FAILED;
    m->main.exited = true;
    container_over(m);
  }
  loop(m);
  _exit(m->failed ? 1 : 0);
}
