/* What clients ask for, one function per frame type. False ends the connection. */
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "monitor.h"

static bool known_name(const char *s, uint32_t len) {
  if (len >= 64 || (len && s[0] == '.')) return false;
  for (uint32_t i = 0; i < len; i++) {
    char c = s[i];
    bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
              c == '+' || c == '.' || c == '-';
    if (!ok) return false;
  }
  return true;
}

/* A timeout that is none: STOP is for a container that waits to be started, and for no other. */
#define UNLESS_STARTED -3

static void reply_ok(struct monitor *m, struct client *c, uint32_t req, int fd) {
  struct frame f = {0};
  frame_u32(&f, req);
  struct iovec part = {f.bytes, f.len};
  client_send(m, c, false, FRAME_OK, &part, 1, fd);
}

void exit_tell(struct monitor *m, struct client *c) {
  const struct exit_info *e = &m->main.exit;
  struct text started = {0}, finished = {0};
  struct frame f = {0};
  exit_info_time(&started, &e->started);
  exit_info_time(&finished, &e->finished);
  frame_u32(&f, e->code);
  frame_u32(&f, e->signal);
  frame_u32(&f, e->oom);
  frame_str(&f, started.s, started.len);
  frame_str(&f, finished.s, finished.len);
  client_reply(m, c, true, FRAME_EXIT, &f);
}

static bool hello(struct monitor *m, struct client *c, uint32_t version) {
  struct frame f = {0};
  uint32_t pid = m->phase == PHASE_CREATING ? 0 : (uint32_t)m->main.process.pid;
  if (version != PROTOCOL_VERSION) return false;
  c->greeted = true;
  frame_u32(&f, PROTOCOL_VERSION);
  frame_u32(&f, pid);
  frame_u32(&f, m->phase);
  client_reply(m, c, false, FRAME_HELLO_BACK, &f);
  if (m->phase == PHASE_CREATED) client_number(m, c, FRAME_READY, pid);
  if (m->phase >= PHASE_RUNNING && m->main.exit.started.tv_sec) client_number(m, c, FRAME_STARTED, pid);
  if (m->failed && m->over) client_failed(m, c, 0, &m->main.fail);
  if (m->phase == PHASE_EXITED && m->over) exit_tell(m, c);
  return true;
}

static void attach(struct monitor *m, struct client *c, uint32_t flags) {
  bool had_in = c->wants_in;
  c->wants_in = flags & 1;
  c->wants_out = flags & 2;
  c->wants_err = flags & 4;
  if (flags & 7 && m->phase < PHASE_EXITED) event_emit(m, "attach", NULL);
  if (had_in && !c->wants_in && m->main.once) session_stdin_end(m, &m->main);
}

static void write_stdin(struct monitor *m, struct client *c, struct session *s, const uint8_t *bytes,
                        size_t len) {
  if (!s) return;
  if (len == 0) return session_stdin_end(m, s);
  session_write(m, s, bytes, (uint32_t)len);
  if (s->pending_bytes > STDIN_QUEUE_MAX) c->blocked = s;
}

static bool resize(struct monitor *m, struct client *c, struct frame_reader *r) {
  struct winsize size = {.ws_row = (unsigned short)frame_take_u32(r),
                         .ws_col = (unsigned short)frame_take_u32(r)};
  uint32_t len;
  const char *id = frame_take_str(r, &len);
  if (!frame_ended(r)) return false;
  struct session *s = session_find(m, c, id, len);
  if (s && s->mode == PLAN_STDIO_PTY && s->out.fd >= 0) ioctl(s->out.fd, TIOCSWINSZ, &size);
  return true;
}

static bool send_signal(struct monitor *m, struct client *c, struct frame_reader *r) {
  uint32_t req = frame_take_u32(r), signo = frame_take_u32(r), flags = frame_take_u32(r), len;
  const char *id = frame_take_str(r, &len);
  if (!frame_ended(r)) return false;
  struct session *s = session_find(m, c, id, len);
  int err = 0;
  /* Whoever kills it wants it dead. */
  if (s == &m->main && (signo == SIGKILL || signo == m->stop_signal) && !m->over) {
    bool waited = m->restart.waiting;
    restart_forbid(m);
    if (waited) return reply_ok(m, c, req, -1), true;
  }
  if (signo < 1 || signo > 64)
    err = EINVAL;
  else if (!s || s->exited || s->process.pidfd < 0)
    err = ESRCH;
  else if (flags & 1)
    err = cgroup_signal(&m->cgroup, (int)signo) < 0 ? errno : 0;
  else
    session_kill(s, (int)signo);
  if (!err && signo == SIGKILL) cgroup_thaw(&m->cgroup);
  if (!err && s == &m->main) event_signal(m, signo);
  if (err)
    client_error(m, c, req, err, "signal");
  else
    reply_ok(m, c, req, -1);
  return true;
}

static void start(struct monitor *m, struct client *c, uint32_t req) {
  if (m->phase != PHASE_CREATED || m->autostart || m->main.exited)
    return client_error(m, c, req, EBUSY, "the container is not waiting to be started");
  m->starter = c;
  m->start_req = req;
  m->autostart = true;
  container_go(m);
}

/* The next start is another monitor's: the life lock goes to whoever makes it, and we leave. */
static void hand_over(struct monitor *m, struct client *c, uint32_t req) {
  if (!m->restart.waiting || m->restart.able)
    return client_error(m, c, req, EBUSY, "the container is not to be handed over");
  reply_ok(m, c, req, m->life);
  if (!c->dead && !c->deaf && !c->queued) _exit(0);
  client_drop(m, c);
}

static bool stop(struct monitor *m, struct client *c, struct frame_reader *r) {
  uint32_t req = frame_take_u32(r), signo = frame_take_u32(r);
  int32_t timeout = (int32_t)frame_take_u32(r);
  bool waits = m->phase == PHASE_CREATED && !m->autostart;
  if (!frame_ended(r) || timeout < UNLESS_STARTED) return false;
  if (signo > 64)
    client_error(m, c, req, EINVAL, "signal");
  else if (timeout == UNLESS_STARTED && !waits)
    client_error(m, c, req, EBUSY, "the container is not waiting to be started");
  else if (m->over)
    reply_ok(m, c, req, -1);
  else if (c->stopping)
    client_error(m, c, req, EBUSY, "this connection waits for a stop already");
  else {
    c->stopping = true;
    c->stop_req = req;
    if (timeout != UNLESS_STARTED) m->stop_asked = true;
    restart_forbid(m);
    if (!m->over) stop_begin(m, signo, timeout);
  }
  return true;
}

/* Takes the first n received descriptors out of the client. */
static void take_fds(struct client *c, int *out, uint32_t n) {
  memcpy(out, c->fds, n * sizeof *out);
  c->nfds -= n;
  memmove(c->fds, c->fds + n, c->nfds * sizeof *out);
}

/* Makes the session and its process; 0, or -1 with s->fail filled. */
static int exec_start(struct monitor *m, struct session *s, int *fds, uint32_t count) {
  uint32_t table = count - 1 - (s->mode == PLAN_STDIO_FDS ? 3 : 0);
  struct op op;
  s->fail.step = NO_STEP;
  int r = plan_load(&s->plan, fds[0], fds + 1, table, PLAN_FOR_EXEC);
  if (r < 0) text_add(&s->fail.text, "malformed Plan");
  if (r == 0) {
    s->stdin_open = true;
    if (plan_find(&s->plan, OP_STDIO, &op)) s->stdin_open = op.f[1].n;
    r = session_start(m, s, s->mode == PLAN_STDIO_FDS ? fds + 1 + table : NULL);
  }
  if (r < 0) s->fail.err = errno;
  s->plan.fds = NULL;
  return r;
}

/* The first thing its starter says: what this monitor is for. */
static bool plan_arrived(struct monitor *m, struct client *c) {
  int fds[PLAN_MAX_FDS + 8];
  if (!c->control || m->planned || c->nfds < 1) return false;
  int table = plan_count_fds(c->fds[0]);
  /* What is no Plan, or comes without its table, is refused by plan_load. */
  uint32_t count = table < 0 || c->nfds < 1 + (uint32_t)table ? 1 : 1 + (uint32_t)table;
  take_fds(c, fds, count);
  m->planned = true;
  m->failed = monitor_configure(m, fds, count) < 0;
  close(fds[0]);
  return true;
}

static bool exec_session(struct monitor *m, struct client *c, struct frame_reader *r) {
  uint32_t req = frame_take_u32(r), len;
  const char *id = frame_take_str(r, &len);
  uint32_t mode = frame_take_u32(r), flags = frame_take_u32(r);
  if (!frame_ended(r) || !known_name(id, len) || mode > PLAN_STDIO_FDS || c->nfds < 1) return false;
  int table = plan_count_fds(c->fds[0]);
  uint32_t count = table < 0 ? 1 : 1 + (uint32_t)table + (mode == PLAN_STDIO_FDS ? 3 : 0);
  if (c->nfds < count) return false;
  int fds[PLAN_MAX_FDS + 8];
  take_fds(c, fds, count);
  struct session *s = calloc(1, sizeof *s);
  bool ok = s && table >= 0 && !m->over && m->phase < PHASE_EXITED && m->main.process.pid > 0;
  struct failure fail = {.step = NO_STEP, .err = table < 0 ? EINVAL : ESRCH};
  text_add(&fail.text, table < 0 ? "malformed Plan" : "the container is not running");
  if (ok && len && session_find(m, c, id, len)) {
    fail = (struct failure){.step = NO_STEP, .err = EEXIST};
    ok = false;
  }
  if (ok) {
    struct text name = {0};
    text_num(&name, req);
    memcpy(s->id, len ? id : name.s, len ? len : name.len);
    s->has_id = len > 0;
    s->mode = mode;
    s->req = req;
    s->client = c;
    s->detached = flags & 1;
    s->process.pidfd = s->process.sync = -1;
    ok = exec_start(m, s, fds, count) == 0;
    if (!ok) fail = s->fail;
  }
  for (uint32_t i = 0; i < count; i++)
    close(fds[i]);
  if (ok) {
    s->next = m->execs;
    m->execs = s;
    event_exec(m, "exec_create", s);
    return true;
  }
  if (s) plan_unload(&s->plan);
  free(s);
  client_failed(m, c, req, &fail);
  return true;
}

bool request_handle(struct monitor *m, struct client *c, uint8_t type, struct frame_reader *r) {
  struct frame_reader plain = *r;
  uint32_t n = frame_take_u32(&plain), len;
  bool single = frame_ended(&plain);
  switch (type) {
  case FRAME_HELLO:
    return single && hello(m, c, n);
  case FRAME_ATTACH:
    return single ? attach(m, c, n), true : false;
  case FRAME_STDIN:
    if (c->wants_in) write_stdin(m, c, &m->main, r->at, (size_t)(r->end - r->at));
    return true;
  case FRAME_RESIZE:
    return resize(m, c, r);
  case FRAME_SIGNAL:
    return send_signal(m, c, r);
  case FRAME_START:
    return single ? start(m, c, n), true : false;
  case FRAME_STOP:
    return stop(m, c, r);
  case FRAME_EXEC:
    return exec_session(m, c, r);
  case FRAME_REOPEN_LOG:
    if (!single) return false;
    if (m->log.name && log_open(&m->log) < 0)
      client_error(m, c, n, errno, m->log.name);
    else
      reply_ok(m, c, n, -1);
    return true;
  case FRAME_MOUNT:
    if (!single) return false;
    if (m->rootfs < 0)
      client_error(m, c, n, ENOENT, "no rootfs mount");
    else
      reply_ok(m, c, n, m->rootfs);
    return true;
  case FRAME_TAKE:
    c->takes = n == 1;
    return single;
  case FRAME_DONE:
    m->cleaned = true;
    c->takes = false;
    return r->at == r->end;
  case FRAME_DETACH:
    attach(m, c, 0);
    return r->at == r->end;
  case FRAME_EXEC_STDIN: {
    const char *id = frame_take_str(r, &len);
    if (!r->ok) return false;
    struct session *s = len ? session_find(m, c, id, len) : NULL;
    write_stdin(m, c, s, r->at, (size_t)(r->end - r->at));
    return true;
  }
  case FRAME_HEALTH:
    if (!single || !n) return false;
    if (!m->health.on || c->health_req) return client_error(m, c, n, EINVAL, "no health check"), true;
    c->health_req = n;
    health_check(m);
    return true;
  case FRAME_HAND_OVER:
    return single ? hand_over(m, c, n), true : false;
  case FRAME_PLAN:
    return r->at == r->end && plan_arrived(m, c);
  case FRAME_PAUSE_OUTPUT:
    c->paused = n == 1;
    source_arm(m, &c->source, c->source.events | 4u /* EPOLLOUT: flush what waited */);
    return single;
  }
  return false;
}
