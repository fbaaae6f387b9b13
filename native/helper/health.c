/* The container's health check: an exec Plan of its own, run by a timer; its results in the state file
 * `health`. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "monitor.h"

/* Docker's view of it, so that nobody has to translate. */
#define STATE_FILE "health"
/* Longest encoding of a byte is \u0000. */
#define ESCAPED_MAX (HEALTH_OUTPUT_MAX * 6)
#define EXPIRED_CODE "-1"

static const char *const names[] = {"starting", "healthy", "unhealthy"};

static int64_t since_ms(const struct timespec *then) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec - then->tv_sec) * 1000 + (now.tv_nsec - then->tv_nsec) / 1000000;
}

static bool is_starting(const struct health *h) {
  return h->status == HEALTH_STARTING && h->start_period_ms &&
         since_ms(&h->began) < (int64_t)h->start_period_ms;
}

static void schedule(struct monitor *m) {
  struct health *h = &m->health;
  uint32_t ms = is_starting(h) && h->start_interval_ms ? h->start_interval_ms : h->interval_ms;
  if (h->interval_ms) timer_set(m, TIMER_HEALTH, ms);
}

static void write_state(struct monitor *m) {
  struct health *h = &m->health;
  struct text head = {0};
  text_add(&head, "{\"Status\":\"");
  text_add(&head, names[h->status]);
  text_add(&head, "\",\"FailingStreak\":");
  text_num(&head, h->streak);
  text_add(&head, ",\"Log\":[");
  size_t size = head.len + 4;
  for (uint32_t i = 0; i < h->results; i++)
    size += strlen(h->log[i]) + 1;
  char *json = malloc(size), *at = json;
  if (!json) return;
  memcpy(at, head.s, head.len);
  at += head.len;
  for (uint32_t i = 0; i < h->results; i++) {
    size_t len = strlen(h->log[i]);
    if (i) *at++ = ',';
    memcpy(at, h->log[i], len);
    at += len;
  }
  memcpy(at, "]}\n", 3);
  if (record_replace(m->state_dir, STATE_FILE, json, (size_t)(at + 3 - json), true) < 0) errno = 0;
  free(json);
}

static void set_status(struct monitor *m, enum health_status status) {
  struct text attributes = {0};
  bool changed = m->health.status != status;
  m->health.status = status;
  write_state(m);
  if (!changed) return;
  event_attribute(&attributes, "status", names[status]);
  event_emit(m, "health_status", &attributes);
}

void health_begin(struct monitor *m) {
  struct health *h = &m->health;
  if (!h->on) return;
  h->streak = 0;
  h->status = HEALTH_STARTING;
  clock_gettime(CLOCK_MONOTONIC, &h->began);
  write_state(m);
  schedule(m);
}

static void answer(struct monitor *m, int err) {
  for (struct client *c = m->clients, *next; c; c = next) {
    next = c->next;
    if (!c->health_req) continue;
    if (err)
      client_error(m, c, c->health_req, err, "health check");
    else
      client_number(m, c, FRAME_OK, c->health_req);
    c->health_req = 0;
  }
}

void health_end(struct monitor *m) {
  timer_clear(m, TIMER_HEALTH);
  timer_clear(m, TIMER_HEALTH_LIMIT);
  m->health.check = NULL;
  answer(m, ESRCH);
}

/* The fd table of the check's Plan: ours, with the pidfd of the process that runs now. */
static void fill_table(struct monitor *m) {
  struct health *h = &m->health;
  for (uint32_t i = 0; i < h->plan.nfds; i++)
    h->fds[i] = h->given[i] < 0 ? m->main.process.pidfd : h->given[i];
}

void health_check(struct monitor *m) {
  struct health *h = &m->health;
  if (m->main.state != SESSION_STARTED || m->main.exited) return answer(m, ESRCH);
  /* What is paused answers to nobody, and is not ill. */
  if (cgroup_frozen(&m->cgroup)) {
    answer(m, EAGAIN);
    if (!h->check) schedule(m);
    return;
  }
  if (h->check) return;
  struct session *s = calloc(1, sizeof *s);
  if (!s) return schedule(m);
  timer_clear(m, TIMER_HEALTH);
  memcpy(s->id, "health", sizeof "health");
  s->mode = PLAN_STDIO_PIPES;
  s->detached = s->checks = true;
  s->plan = h->plan;
  s->process.pidfd = s->process.sync = -1;
  fill_table(m);
  h->output_len = 0;
  h->expired = h->held = false;
  h->check = s;
  clock_gettime(CLOCK_REALTIME, &h->asked);
  if (session_start(m, s, NULL) < 0) {
    s->state = SESSION_FAILED;
    s->fail.err = errno;
    health_result(m, s);
    free(s);
    return;
  }
  s->plan.fds = NULL;
  s->next = m->execs;
  m->execs = s;
  timer_set(m, TIMER_HEALTH_LIMIT, h->timeout_ms);
}

void health_expired(struct monitor *m) {
  struct session *s = m->health.check;
  if (!s) return;
  /* Nor in the middle of a check, which goes on with the container and then has all its time. */
  bool frozen = cgroup_frozen(&m->cgroup), held = m->health.held;
  m->health.held = frozen;
  if (frozen) answer(m, EAGAIN);
  if (frozen || held) {
    timer_set(m, TIMER_HEALTH_LIMIT, m->health.timeout_ms);
    return;
  }
  m->health.expired = true;
  /* It has no process yet: soon. */
  if (s->process.pidfd < 0) timer_set(m, TIMER_HEALTH_LIMIT, 100);
  session_kill(s, SIGKILL);
  /* What it left behind may hold its streams, and what never became a process dies with them. */
  session_close(m, s);
}

void health_output(struct monitor *m, const uint8_t *bytes, size_t len) {
  struct health *h = &m->health;
  size_t room = HEALTH_OUTPUT_MAX - h->output_len;
  if (len > room) len = room;
  memcpy(h->output + h->output_len, bytes, len);
  h->output_len += len;
}

static char *escape(char *at, const char *bytes, size_t len) {
  static const char hex[] = "0123456789abcdef";
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)bytes[i];
    if (c == '"' || c == '\\') *at++ = '\\';
    if (c >= 0x20) {
      *at++ = (char)c;
      continue;
    }
    memcpy(at, "\\u00", 4);
    at[4] = hex[c >> 4];
    at[5] = hex[c & 15];
    at += 6;
  }
  return at;
}

static char *put(char *at, const char *s) {
  size_t len = strlen(s);
  memcpy(at, s, len);
  return at + len;
}

/* The newest results stay. */
static void keep(struct health *h, const char *code, const char *output, size_t len) {
  struct text start = {0}, end = {0};
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  text_time(&start, &h->asked);
  text_time(&end, &now);
  char *json = malloc(ESCAPED_MAX + 256), *at = json;
  if (!json) return;
  at = put(put(at, "{\"Start\":\""), start.s);
  at = put(put(at, "\",\"End\":\""), end.s);
  at = put(put(at, "\",\"ExitCode\":"), code);
  at = escape(put(at, ",\"Output\":\""), output, len);
  at = put(at, "\"}");
  *at = 0;
  char *fitted = realloc(json, (size_t)(at + 1 - json));
  if (fitted) json = fitted;
  if (h->results == HEALTH_RESULTS) {
    free(h->log[0]);
    memmove(h->log, h->log + 1, (HEALTH_RESULTS - 1) * sizeof *h->log);
    h->results--;
  }
  h->log[h->results++] = json;
}

/* What the user wants to be done about an unhealthy container. */
static void act(struct monitor *m) {
  switch (m->health.action) {
  case PLAN_HEALTH_STOP:
    restart_forbid(m);
    stop_begin(m, 0, -1);
    break;
  case PLAN_HEALTH_RESTART:
    m->restart.asked = true;
    stop_begin(m, 0, -1);
    break;
  case PLAN_HEALTH_KILL:
    container_kill(m);
  }
}

void health_result(struct monitor *m, const struct session *s) {
  struct health *h = &m->health;
  struct text code = {0}, note = {0};
  bool well = false;
  h->check = NULL;
  timer_clear(m, TIMER_HEALTH_LIMIT);
  if (h->expired) {
    text_add(&note, "Health check exceeded timeout (");
    text_num(&note, h->timeout_ms / 1000);
    text_add(&note, ".");
    text_pad(&note, h->timeout_ms % 1000, 3);
    text_add(&note, "s)");
    keep(h, EXPIRED_CODE, note.s, note.len);
  } else if (s->state == SESSION_FAILED) {
    text_add(&note, "cannot run the check: ");
    text_add(&note, s->fail.text.len ? s->fail.text.s : strerrordesc_np(s->fail.err));
    text_num(&code, s->fail.err == ENOENT ? 127 : 126);
    keep(h, code.s, note.s, note.len);
  } else {
    well = s->exit.code == 0;
    text_num(&code, s->exit.code);
    keep(h, code.s, h->output, h->output_len);
  }
  if (well || !is_starting(h)) h->streak = well ? 0 : h->streak + 1;
  enum health_status status = well ? HEALTH_HEALTHY : h->streak >= h->retries ? HEALTH_UNHEALTHY : h->status;
  set_status(m, status);
  answer(m, 0);
  schedule(m);
  if (!well && status == HEALTH_UNHEALTHY) act(m);
}

int health_configure(struct monitor *m, const struct op *op) {
  struct health *h = &m->health;
  struct cursor c = plan_begin(&m->main.plan);
  struct op fd;
  uint32_t bad;
  for (int *given = h->given; plan_next(&c, &fd) == 1;)
    if (fd.code == OP_HEALTH_FD) {
      if (given - h->given >= HEALTH_FDS) return fail_with(E2BIG);
      *given++ = fd.f[0].fd;
      h->plan.nfds++;
    }
  h->plan.bytes = (const uint8_t *)op->f[6].s;
  h->plan.size = op->f[6].len;
  h->plan.fds = h->fds;
  if (plan_check(&h->plan, PLAN_FOR_EXEC, &bad) < 0) return -1;
  h->interval_ms = (uint32_t)op->f[0].n;
  h->timeout_ms = (uint32_t)op->f[1].n;
  h->start_period_ms = (uint32_t)op->f[2].n;
  h->start_interval_ms = (uint32_t)op->f[3].n;
  h->retries = (uint32_t)op->f[4].n;
  h->action = (uint32_t)op->f[5].n;
  h->on = true;
  return 0;
}
