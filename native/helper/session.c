/* A process and its stdio: pipes or a pty on one side, the log and the clients on the other. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "monitor.h"

#define END_OF_TRANSMISSION 4

static struct source source_of(struct session *s, int fd, enum source_kind kind) {
  if (fd >= 0) set_nonblock(fd);
  return (struct source){.fd = fd, .kind = kind, .owner = s};
}

/* One pipe; `ours` is the end we keep (0 to read). */
static int make_pipe(int ours, int *kept, int *given) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) < 0) return -1;
  *kept = fds[ours];
  *given = fds[1 - ours];
  return 0;
}

int session_start(struct monitor *m, struct session *s, const int given[3]) {
  int child[3] = {-1, -1, -1}, kept[3] = {-1, -1, -1}, r = 0;
  bool pipes = s->mode == PLAN_STDIO_PIPES;
  if (given) memcpy(child, given, sizeof child);
  if (pipes && s->stdin_open) r = make_pipe(1, &kept[0], &child[0]);
  for (int i = 1; pipes && r == 0 && i < 3; i++)
    r = make_pipe(0, &kept[i], &child[i]);
  struct spawn_fail fail = {NO_STEP, errno};
  if (r == 0) r = spawn(&s->plan, child, pipes, &s->process, &fail);
  for (int i = 0; pipes && i < 3; i++)
    close_and_clear(&child[i]);
  s->in = source_of(s, kept[0], SOURCE_STDIN);
  s->out = source_of(s, kept[1], SOURCE_STDOUT);
  s->err = source_of(s, kept[2], SOURCE_STDERR);
  s->sync = (struct source){.fd = s->process.sync, .kind = SOURCE_SYNC, .owner = s};
  if (r < 0) {
    s->fail.step = fail.step;
    session_close(m, s);
    return fail_with(fail.err);
  }
  source_arm(m, &s->sync, EPOLLIN);
  session_resume(m, s);
  return 0;
}

void session_take_pty(struct monitor *m, struct session *s, int master) {
  s->out = source_of(s, master, SOURCE_STDOUT);
  if (s->stdin_open) s->in = source_of(s, fcntl(master, F_DUPFD_CLOEXEC, 3), SOURCE_STDIN);
  if (s->in.fd >= 0 && s->pending.first) source_arm(m, &s->in, EPOLLOUT);
  session_resume(m, s);
}

struct session *session_find(struct monitor *m, struct client *c, const char *id, uint32_t len) {
  if (len == 0) return &m->main;
  for (struct session *s = m->execs; s; s = s->next)
    if (strlen(s->id) == len && !memcmp(s->id, id, len) && (s->has_id || s->client == c)) return s;
  return NULL;
}

static void drop_pending(struct monitor *m, struct session *s) {
  for (struct chunk *k; (k = s->pending.first);) {
    s->pending.first = k->next;
    free(k);
  }
  s->pending_bytes = 0;
  for (struct client *c = m->clients, *next; c; c = next) {
    next = c->next;
    if (c->blocked != s) continue;
    c->blocked = NULL;
    client_parse(m, c);
  }
}

static void finish_stdin(struct monitor *m, struct session *s) {
  const char end = END_OF_TRANSMISSION;
  s->in_eof = false;
  if (s->mode == PLAN_STDIO_PTY) {
    if (write(s->in.fd, &end, 1) < 0) errno = 0;
    return;
  }
  source_close(m, &s->in);
  s->stdin_open = false;
}

void session_stdin_end(struct monitor *m, struct session *s) {
  if (s->in.fd < 0) return;
  s->in_eof = true;
  if (!s->pending.first) finish_stdin(m, s);
}

void session_write(struct monitor *m, struct session *s, const uint8_t *bytes, uint32_t len) {
  /* A pty that is still to come gets what was typed before it. */
  bool coming = s->mode == PLAN_STDIO_PTY && s->stdin_open && s->out.fd < 0 && !s->exited;
  if ((s->in.fd < 0 && !coming) || s->in_eof) return;
  if (!s->pending.first && !coming) {
    ssize_t n = write(s->in.fd, bytes, len);
    if (n < 0 && errno != EAGAIN && errno != EINTR) return source_close(m, &s->in);
    if (n > 0) bytes += n, len -= (uint32_t)n;
    if (len == 0) return;
  }
  struct chunk *k = malloc(sizeof *k + len);
  if (!k) return;
  *k = (struct chunk){.len = len};
  memcpy(k->bytes, bytes, len);
  if (s->pending.first)
    s->pending.last->next = k;
  else
    s->pending.first = k;
  s->pending.last = k;
  s->pending_bytes += len;
  if (s->in.fd >= 0) source_arm(m, &s->in, EPOLLOUT);
}

void session_stdin_ready(struct monitor *m, struct session *s) {
  for (struct chunk *k; (k = s->pending.first);) {
    ssize_t n = write(s->in.fd, k->bytes + k->at, k->len - k->at);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) {
      source_close(m, &s->in);
      break;
    }
    k->at += (uint32_t)n;
    s->pending_bytes -= (uint32_t)n;
    if (k->at < k->len) continue;
    s->pending.first = k->next;
    free(k);
  }
  if (s->in.fd >= 0) source_arm(m, &s->in, 0);
  if (s->in.fd >= 0 && s->in_eof && !s->pending.first) finish_stdin(m, s);
  drop_pending(m, s);
}

static bool reads(struct monitor *m, const struct session *s, const struct client *c, bool err) {
  if (s != &m->main) return s->client == c;
  return err ? c->wants_err : c->wants_out;
}

/* Whether everyone who gets this stream has room for more of it. */
static bool has_room(struct monitor *m, struct session *s, bool err) {
  for (struct client *c = m->clients; c; c = c->next)
    if (reads(m, s, c, err) && c->queued >= QUEUE_MAX) return false;
  return true;
}

void session_resume(struct monitor *m, struct session *s) {
  if (s->out.fd >= 0 && has_room(m, s, false)) source_arm(m, &s->out, EPOLLIN);
  if (s->err.fd >= 0 && has_room(m, s, true)) source_arm(m, &s->err, EPOLLIN);
}

static void deliver(struct monitor *m, struct session *s, bool err, uint8_t *bytes, size_t len) {
  struct frame name = {0};
  bool main = s == &m->main;
  if (s->checks) return health_output(m, bytes, len);
  if (main)
    log_write(&m->log, err ? LOG_STDERR : LOG_STDOUT, (char *)bytes, len);
  else
    frame_str(&name, s->id, strlen(s->id));
  struct iovec parts[2] = {{name.bytes, name.len}, {bytes, len}};
  uint8_t type = (uint8_t)((main ? FRAME_STDOUT : FRAME_EXEC_STDOUT) + err);
  for (struct client *c = m->clients, *next; c; c = next) {
    next = c->next;
    if (reads(m, s, c, err)) client_send(m, c, true, type, parts, 2, -1);
  }
}

/* 1: got some; 0: nothing now; -1: the stream is over. */
static int pump(struct monitor *m, struct session *s, struct source *from) {
  static uint8_t buffer[READ_BYTES];
  bool err = from->kind == SOURCE_STDERR;
  ssize_t n = read(from->fd, buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) {
    if (s == &m->main) log_end(&m->log, err ? LOG_STDERR : LOG_STDOUT);
    return -1;
  }
  deliver(m, s, err, buffer, (size_t)n);
  return 1;
}

void session_output(struct monitor *m, struct session *s, struct source *from) {
  if (!has_room(m, s, from->kind == SOURCE_STDERR)) return (void)source_arm(m, from, 0);
  if (pump(m, s, from) >= 0) return;
  /* A pty nobody has open right now may be opened again: it stays until the process ends. */
  if (s->mode == PLAN_STDIO_PTY)
    source_arm(m, from, 0);
  else
    source_close(m, from);
}

void session_drain(struct monitor *m, struct session *s) {
  struct source *both[2] = {&s->out, &s->err};
  for (int i = 0; i < 2; i++) {
    while (both[i]->fd >= 0 && pump(m, s, both[i]) == 1) {
    }
    if (both[i]->fd >= 0 && s == &m->main) log_end(&m->log, i ? LOG_STDERR : LOG_STDOUT);
  }
  session_close(m, s);
}

void session_close(struct monitor *m, struct session *s) {
  source_close(m, &s->in);
  source_close(m, &s->out);
  source_close(m, &s->err);
  drop_pending(m, s);
}
