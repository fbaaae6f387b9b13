/* Connections: frames in and out, queues, descriptors that travel along. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/fd-message.h"
#include "monitor.h"

#define REPLIES_MAX (1024u * 1024)
#define READ_AT_ONCE 4096u

struct client *client_add(struct monitor *m, int fd, bool control) {
  struct client *c = calloc(1, sizeof *c);
  if (!c) {
    close(fd);
    return NULL;
  }
  c->source = (struct source){.fd = fd, .kind = SOURCE_CLIENT, .owner = c};
  c->control = c->greeted = control;
  c->next = m->clients;
  m->clients = c;
  set_nonblock(fd);
  source_arm(m, &c->source, EPOLLIN);
  return c;
}

static void chunk_free(struct chunk *k) {
  if (!k) return;
  if (k->fd >= 0) close(k->fd);
  free(k);
}

static void queue_free(struct queue *q) {
  for (struct chunk *k; (k = q->first);) {
    q->first = k->next;
    chunk_free(k);
  }
}

/* The peer takes nothing any more; what it said before it left still counts. */
static void client_deafen(struct monitor *m, struct client *c) {
  c->deaf = true;
  queue_free(&c->replies);
  queue_free(&c->stream);
  chunk_free(c->current);
  c->current = NULL;
  c->queued = 0;
  source_arm(m, &c->source, c->source.events & ~(uint32_t)EPOLLOUT);
}

void client_drop(struct monitor *m, struct client *c) {
  if (c->dead) return;
  c->dead = true;
  source_close(m, &c->source);
  client_deafen(m, c);
  for (uint32_t i = 0; i < c->nfds; i++)
    close(c->fds[i]);
  for (struct client **at = &m->clients; *at; at = &(*at)->next)
    if (*at == c) {
      *at = c->next;
      break;
    }
  c->next = m->graves;
  m->graves = c;
  if (m->starter == c) m->starter = NULL;
  if (c->wants_in && m->main.once) session_stdin_end(m, &m->main);
  for (struct session *s = m->execs; s; s = s->next) {
    if (s->client != c) continue;
    s->client = NULL;
    if (!s->detached)
      session_close(m, s);
    else
      session_resume(m, s);
  }
  session_resume(m, &m->main);
  if (c->control && m->lease && !m->over) container_kill(m);
}

static void queue_put(struct queue *q, struct chunk *k) {
  if (q->last && q->first)
    q->last->next = k;
  else
    q->first = k;
  q->last = k;
}

void client_send(struct monitor *m, struct client *c, bool ordered, uint8_t type, const struct iovec *parts,
                 int n, int fd) {
  if (c->dead || c->deaf) return;
  uint8_t head[5];
  struct iovec all[4] = {{head, sizeof head}};
  uint32_t total = sizeof head;
  for (int i = 0; i < n; i++) {
    all[i + 1] = parts[i];
    total += (uint32_t)parts[i].iov_len;
  }
  for (int i = 0; i < 4; i++)
    head[i] = (uint8_t)((total - 4) >> 8 * i);
  head[4] = type;
  ssize_t sent = 0;
  if (!c->current && !c->replies.first && !c->stream.first && !(ordered && c->paused)) {
    sent = send_with_fd(c->source.fd, all, (size_t)n + 1, fd, MSG_DONTWAIT);
    if (sent == (ssize_t)total) return;
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return client_deafen(m, c);
    if (sent < 0)
      sent = 0;
    else
      fd = -1;
  }
  struct chunk *k = malloc(sizeof *k + total);
  if (!k || (!ordered && c->queued > REPLIES_MAX)) {
    free(k);
    return client_drop(m, c);
  }
  *k = (struct chunk){.len = total, .at = (uint32_t)sent, .fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1};
  uint32_t at = 0;
  for (int i = 0; i <= n; at += (uint32_t)all[i].iov_len, i++)
    if (all[i].iov_len) memcpy(k->bytes + at, all[i].iov_base, all[i].iov_len);
  c->queued += total;
  if (sent > 0)
    c->current = k;
  else
    queue_put(ordered ? &c->stream : &c->replies, k);
  source_arm(m, &c->source, c->source.events | EPOLLOUT);
}

static struct chunk *next_chunk(struct client *c) {
  struct queue *q = c->replies.first ? &c->replies : c->paused ? NULL : &c->stream;
  struct chunk *k = q ? q->first : NULL;
  if (k) q->first = k->next;
  if (k) k->next = NULL;
  return k;
}

static void flush(struct monitor *m, struct client *c) {
  while (c->current || (c->current = next_chunk(c))) {
    struct chunk *k = c->current;
    struct iovec rest = {k->bytes + k->at, k->len - k->at};
    ssize_t n = send_with_fd(c->source.fd, &rest, 1, k->at == 0 ? k->fd : -1, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n < 0) {
      client_deafen(m, c);
      break;
    }
    k->at += (uint32_t)n;
    if (k->at < k->len) continue;
    c->queued -= k->len;
    chunk_free(k);
    c->current = NULL;
  }
  if (!c->current) source_arm(m, &c->source, c->source.events & ~(uint32_t)EPOLLOUT);
  if (c->queued >= QUEUE_MAX / 2) return;
  session_resume(m, &m->main);
  for (struct session *s = m->execs; s; s = s->next)
    if (s->client == c) session_resume(m, s);
}

static void broadcast(struct monitor *m, bool ordered, uint8_t type, const struct frame *f) {
  for (struct client *c = m->clients, *next; c; c = next) {
    next = c->next;
    if (c->greeted) client_reply(m, c, ordered, type, f);
  }
}

void client_reply(struct monitor *m, struct client *c, bool ordered, uint8_t type, const struct frame *f) {
  if (!c) return broadcast(m, ordered, type, f);
  struct iovec part = {(void *)(uintptr_t)f->bytes, f->len};
  client_send(m, c, ordered, type, &part, 1, -1);
}

void client_number(struct monitor *m, struct client *c, uint8_t type, uint32_t n) {
  struct frame f = {0};
  frame_u32(&f, n);
  client_reply(m, c, false, type, &f);
}

void client_error(struct monitor *m, struct client *c, uint32_t req, int err, const char *text) {
  struct frame f = {0};
  frame_u32(&f, req);
  frame_u32(&f, (uint32_t)err);
  frame_str(&f, text, strlen(text));
  client_reply(m, c, false, FRAME_ERROR, &f);
}

void client_failed(struct monitor *m, struct client *c, uint32_t req, const struct failure *fail) {
  struct frame f = {0};
  frame_u32(&f, req);
  frame_u32(&f, fail->step);
  frame_u32(&f, (uint32_t)fail->err);
  frame_str(&f, fail->text.s, fail->text.len);
  client_reply(m, c, false, FRAME_FAILED, &f);
}

void client_parse(struct monitor *m, struct client *c) {
  uint32_t at = 0;
  while (!c->dead && !c->blocked) {
    uint8_t type;
    struct frame_reader payload;
    int64_t size = frame_split(c->in + at, c->in_len - at, &type, &payload);
    if (size == 0) break;
    if (size < 0 || (!c->greeted && type != FRAME_HELLO) || !request_handle(m, c, type, &payload))
      return client_drop(m, c);
    at += (uint32_t)size;
  }
  if (c->dead) return;
  if (at > 0) memmove(c->in, c->in + at, c->in_len - at);
  c->in_len -= at;
  if (c->in_len == 0) {
    free(c->in);
    c->in = NULL;
    c->in_size = 0;
  }
  uint32_t in = c->blocked ? 0 : EPOLLIN;
  source_arm(m, &c->source, (c->source.events & ~(uint32_t)EPOLLIN) | in);
}

/* Descriptors are kept in order of arrival until an EXEC frame takes its own. */
static bool keep_fds(struct client *c, struct msghdr *msg) {
  bool ok = !(msg->msg_flags & MSG_CTRUNC);
  for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
      if (c->nfds < sizeof c->fds / sizeof *c->fds) {
        c->fds[c->nfds++] = fd;
      } else {
        close(fd);
        ok = false;
      }
    }
  }
  return ok;
}

/* Room for the frame that is arriving, at least. */
static bool grow(struct client *c) {
  uint32_t want = c->in_len + READ_AT_ONCE;
  if (c->in_len >= 4) {
    struct frame_reader r = {c->in, c->in + 4, true};
    uint32_t frame = frame_take_u32(&r);
    if (frame <= FRAME_MAX && frame + 4 > want) want = frame + 4;
  }
  if (want <= c->in_size) return true;
  uint8_t *bytes = realloc(c->in, want);
  if (!bytes) return false;
  c->in = bytes;
  c->in_size = want;
  return true;
}

/* -1: the connection is over. 0: nothing more now. */
static int receive(struct client *c) {
  union {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int) * 253)];
  } control;
  if (!grow(c)) return -1;
  struct iovec iov = {c->in + c->in_len, c->in_size - c->in_len};
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  ssize_t n = recvmsg(c->source.fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
  if (!keep_fds(c, &msg) || n == 0) return -1;
  c->in_len += (uint32_t)n;
  return 1;
}

void client_event(struct monitor *m, struct client *c, uint32_t events) {
  if (events & EPOLLOUT) flush(m, c);
  if (c->dead) return;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !c->blocked) {
    int r = receive(c);
    if (r > 0) client_parse(m, c);
    if (r < 0) client_drop(m, c);
  } else if (c->blocked && events & (EPOLLHUP | EPOLLERR)) {
    /* Gone, but what it sent is still to be taken; unless its going is the message. */
    if (c->control && m->lease)
      client_drop(m, c);
    else
      source_arm(m, &c->source, 0);
  }
}
