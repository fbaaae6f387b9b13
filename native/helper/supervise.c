/* What the monitor does unasked: timers, and starting a container again. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "monitor.h"

#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MAX_MS 60000u
/* Who ran this long starts with a short pause again. */
#define STEADY_SECONDS 10
/* Who is to take over has died if it has not by then. */
#define HAND_OVER_MS 5000

int timer_set(struct monitor *m, enum timer which, uint32_t ms) {
  struct source *t = &m->timers[which];
  struct itimerspec at = {.it_value = {ms / 1000, ms % 1000 * 1000000L}};
  if (ms == 0) at.it_value.tv_nsec = 1;
  if (t->fd < 0) t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (t->fd < 0 || timerfd_settime(t->fd, 0, &at, NULL) < 0) return -1;
  return source_arm(m, t, EPOLLIN);
}

void timer_clear(struct monitor *m, enum timer which) {
  source_close(m, &m->timers[which]);
}

void timer_fired(struct monitor *m, struct source *t) {
  enum timer which = (enum timer)(t - m->timers);
  timer_clear(m, which);
  switch (which) {
  case TIMER_STOP:
  case TIMER_LIMIT:
    container_kill(m);
    break;
  case TIMER_RESTART:
    if (!restart_wanted(m))
      container_end(m);
    else if (m->restart.able)
      container_again(m);
    else if (timer_set(m, TIMER_RESTART, HAND_OVER_MS) == 0)
      monitor_run(m, OP_AGAIN);
    break;
  case TIMER_HEALTH:
    health_check(m);
    break;
  case TIMER_HEALTH_LIMIT:
    health_expired(m);
    break;
  case TIMERS:
    break;
  }
}

bool restart_wanted(struct monitor *m) {
  struct restart *r = &m->restart;
  const struct session *s = &m->main;
  struct op op;
  char changed[64];
  if (r->stopped || m->phase < PHASE_RUNNING) return false;
  if (!r->able && !plan_find(&m->main.plan, OP_AGAIN, &op)) return false;
  /* A digit and a number: what holds since the policy was changed. */
  if (read_small(m->state_dir, "policy", changed, sizeof changed) > 0) {
    r->policy = (uint32_t)(changed[0] - '0');
    r->max = (uint32_t)strtoul(changed + 1, NULL, 10);
  }
  if (r->asked || r->policy == PLAN_RESTART_ALWAYS) return true;
  return r->policy == PLAN_RESTART_ON_FAILURE && s->exit.code && (!r->max || r->count < r->max);
}

void restart_note(const struct monitor *m) {
  struct text t = {0};
  text_add(&t, "{\"count\":");
  text_num(&t, m->restart.count);
  text_add(&t, m->restart.waiting ? ",\"waiting\":true}\n" : ",\"waiting\":false}\n");
  if (record_replace(m->state_dir, "restarts", t.s, t.len, m->is_volatile) < 0) errno = 0;
}

void restart_schedule(struct monitor *m) {
  struct restart *r = &m->restart;
  const struct exit_info *e = &m->main.exit;
  bool steady = e->started.tv_sec && e->finished.tv_sec - e->started.tv_sec >= STEADY_SECONDS;
  r->pause_ms = steady || !r->pause_ms ? BACKOFF_FIRST_MS : r->pause_ms * 2;
  if (r->pause_ms > BACKOFF_MAX_MS) r->pause_ms = BACKOFF_MAX_MS;
  r->waiting = true;
  restart_note(m);
  if (timer_set(m, TIMER_RESTART, r->asked ? 0 : r->pause_ms) < 0) container_end(m);
}

void restart_begin(struct monitor *m) {
  m->restart.waiting = m->restart.asked = false;
  restart_note(m);
  event_emit(m, "restart", NULL);
}

void restart_forbid(struct monitor *m) {
  m->restart.stopped = m->main.exit.stopped = true;
  if (m->restart.waiting) container_end(m);
}

void system_stops(struct monitor *m) {
  if (m->over) return;
  m->restart.stopped = true;
  if (m->restart.waiting)
    container_end(m);
  else
    stop_begin(m, 0, -1);
}
