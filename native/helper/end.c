/* The end of a container: for good, or until its next start. */
#include <signal.h>
#include <stdio.h>

#include "monitor.h"

#define RECORD_TRIES 5

static void answer_stops(struct monitor *m) {
  for (struct client *c = m->clients, *next; c; c = next) {
    next = c->next;
    if (c->stopping) client_number(m, c, FRAME_OK, c->stop_req);
    c->stopping = false;
  }
}

/* Everything of it dies. Its cgroup stays for a next start. */
static void kill_all(struct monitor *m, bool again) {
  for (struct session *e = m->execs; e; e = e->next)
    session_kill(e, SIGKILL);
  if (again)
    cgroup_clear(&m->cgroup, monitor_reap, m);
  else
    cgroup_end(&m->cgroup, monitor_reap, m);
  while (m->execs && m->execs->exited)
    exec_end(m, m->execs);
}

/* The exit record is on the disk; false: it could not be written. */
static bool record_end(struct monitor *m) {
  for (int i = 0; i < RECORD_TRIES; i++) {
    struct timespec pause = {0, i * 20000000L};
    if (i) nanosleep(&pause, NULL);
    if (record_exit(m->state_dir, NULL, "exit", &m->main.exit, m->is_volatile) == 0) return true;
  }
  return false;
}

static void tell_end(struct monitor *m) {
  const struct exit_info *e = &m->main.exit;
  struct text attributes = {0};
  if (e->oom) event_emit(m, "oom", NULL);
  event_number(&attributes, "exitCode", e->code);
  if (e->signal) event_number(&attributes, "signal", e->signal);
  event_emit(m, "die", &attributes);
}

/* It never ran. One that was prepared for its start is again what it was before: created, or ended. */
static void container_failed(struct monitor *m) {
  struct session *s = &m->main;
  m->over = m->failed = true;
  if (m->phase == PHASE_CREATED) {
    bool ran_once = faccessat(m->state_dir, "exit", F_OK, 0) == 0;
    container_fail(m, NO_STEP, ECANCELED, "the container was stopped before it started");
    unlinkat(m->state_dir, "pid", 0);
    renameat(m->state_dir, "phase.initialized", m->state_dir, ran_once ? "phase.exited" : "phase.created");
    m->phase = PHASE_CREATING;
    if (m->stop_asked) event_emit(m, "stop", NULL);
    hooks_run(m, 3);
  }
  /* First: their clients take the failure for the end of all their requests. */
  answer_stops(m);
  if (m->starter) client_failed(m, m->starter, m->start_req, &s->fail);
  client_failed(m, NULL, 0, &s->fail);
}

void container_end(struct monitor *m) {
  bool told = m->restart.waiting;
  /* It waited for its next start: what was kept for that goes. */
  if (told) cgroup_end(&m->cgroup, monitor_reap, m);
  timer_clear(m, TIMER_RESTART);
  m->restart.waiting = false;
  m->over = true;
  bool recorded = record_end(m);
  /* First: who sees the phase finds the event. */
  if (told)
    restart_note(m);
  else
    tell_end(m);
  /* Without a record the phase stays: the next command repairs it. */
  if (recorded) phase_set(m, PHASE_EXITED);
  m->phase = PHASE_EXITED;
  if (m->stop_asked) event_emit(m, "stop", NULL);
  answer_stops(m);
  exit_tell(m, NULL);
  close_and_clear(&m->rootfs);
  hooks_run(m, 3);
}

void container_over(struct monitor *m) {
  struct session *s = &m->main;
  struct op op;
  bool ran_before = m->phase == PHASE_RUNNING, counts = plan_find(&s->plan, OP_OOM, &op);
  timer_clear(m, TIMER_STOP);
  timer_clear(m, TIMER_LIMIT);
  health_end(m);
  if (s->state == SESSION_FAILED && ran_before) {
    /* A next start that failed is an end like any other; so is one that was killed on its way. */
    s->exit.signal = m->restart.stopped ? SIGKILL : 0;
    s->exit.code = m->restart.stopped ? 128 + SIGKILL : s->fail.err == ENOENT ? 127 : 126;
    clock_gettime(CLOCK_REALTIME, &s->exit.finished);
  }
  bool again = restart_wanted(m);
  uint64_t ooms = counts ? cgroup_counter(op.f[0].fd, op.f[1].s, op.f[2].s) : 0;
  kill_all(m, again && m->restart.able);
  session_drain(m, s);
  /* Unmounting takes a millisecond, which nobody has to wait for when it is not mounted again. */
  if (!m->is_volatile) close_and_clear(&m->rootfs);
  s->exit.oom = ooms > m->ooms;
  m->ooms = ooms;
  if (m->phase == PHASE_CREATED || (s->state == SESSION_FAILED && !ran_before)) return container_failed(m);
  if (!again) return container_end(m);
  record_end(m);
  tell_end(m);
  unlinkat(m->state_dir, "pid", 0);
  hooks_run(m, 3);
  close_and_clear(&s->process.pidfd);
  s->process.pid = 0;
  restart_schedule(m);
  /* Another monitor starts it again: for our clients this is the end. */
  if (!m->restart.able) exit_tell(m, NULL);
}

void container_again(struct monitor *m) {
  struct session *s = &m->main;
  struct op op;
  m->restart.count++;
  restart_begin(m);
  s->state = SESSION_NEW;
  s->exited = s->in_eof = m->trimmed = false;
  s->stdin_open = plan_find(&s->plan, OP_STDIO, &op) && op.f[1].n == 1;
  s->exit = (struct exit_info){0};
  s->fail = (struct failure){.step = NO_STEP};
  s->process = (struct spawned){.pidfd = -1, .sync = -1};
  if (container_start(m) == 0) return;
  s->state = SESSION_FAILED;
  s->fail.err = errno;
  s->exited = true;
}
