/* What we do not know, others are asked: each question from a port of its own, under an id of its own, and
 * only who was asked is listened to (RFC 5452). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "resolver.h"

enum { RELAYS_MAX = 4096, SICK_MS = 10000, DATAGRAMS = 64 };

static uint32_t hash_of(const struct address *a) {
  uint32_t h = 0x811c9dc5u;
  for (uint8_t i = 0; i < a->len; i++)
    h = (h ^ a->bytes[i]) * 0x01000193u;
  return h ^ h >> 16;
}

uint32_t relays_max(void) {
  struct rlimit files;
  /* Half of the descriptors are for listeners, streams and ourselves. */
  if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur / 2 > RELAYS_MAX) return RELAYS_MAX;
  return (uint32_t)files.rlim_cur / 2;
}

/* A container counts as one, whichever of its addresses it asks from. */
static uint32_t asker_of(const struct container *c, const struct asker *from) {
  return hash_of(c->own_count ? &c->own[0] : &from->peer) % ASKERS;
}

static bool is_sick(const struct resolver *r, const struct address *server) {
  uint32_t at = hash_of(server) % SICK_SERVERS;
  return address_equal(&r->sick[at].server, server) && r->sick[at].until_ms > now_ms();
}

/* It did not answer; or it did, after all. */
static void call_sick(struct resolver *r, const struct address *server, bool sick) {
  uint32_t at = hash_of(server) % SICK_SERVERS;
  if (!sick && !address_equal(&r->sick[at].server, server)) return;
  r->sick[at].server = *server;
  r->sick[at].until_ms = sick ? now_ms() + SICK_MS : 0;
}

/* Each server once, then again from the first; who did not answer lately comes after the others. */
static void choose_tries(const struct resolver *r, struct relay *y, const struct servers *servers) {
  struct address order[SERVERS_MAX];
  bool sick[SERVERS_MAX];
  uint8_t count = 0;
  for (uint8_t i = 0; i < servers->count; i++)
    sick[i] = is_sick(r, &servers->list[i]);
  for (int last = 0; last < 2; last++)
    for (uint8_t i = 0; i < servers->count; i++)
      if (sick[i] == (last == 1)) order[count++] = servers->list[i];
  for (uint8_t i = 0; count && i < TRIES_MAX; i++)
    y->tries[y->tries_count++] = order[i % count];
}

static void end(struct resolver *r, struct relay *y) {
  if (y->over) return;
  y->over = true;
  source_close(&y->source);
  timed_end(&r->limits, &y->limit);
  *(y->previous ? &y->previous->next : &r->relays) = y->next;
  if (y->next) y->next->previous = y->previous;
  r->asking[y->counted]--;
  r->relay_count--;
  free(y->in);
  free(y->last);
  bury(r, y);
}

/* Gives the client its own id back. */
static void finish(struct resolver *r, struct relay *y, uint8_t *bytes, size_t len) {
  struct stream *stream = y->asker.stream;
  memcpy(bytes, y->query, 2);
  if (!stream) len = reply_cut(bytes, len, y->question_end, y->udp_bytes);
  reply(r, &y->asker, bytes, len);
  end(r, y);
  if (stream) stream_settle(r, stream);
}

static void fail(struct resolver *r, struct relay *y) {
  uint8_t bytes[HEADER_BYTES + NAME_BYTES + 64];
  struct query q;
  struct answer a;
  if (y->last) return finish(r, y, y->last, y->last_len);
  if (query_read(y->query, y->query_len, &q) != RCODE_OK) return end(r, y);
  answer_begin(&a, bytes, sizeof bytes, y->query, &q);
  finish(r, y, bytes, answer_end(&a, RCODE_FAILED, &q));
}

static int ask(struct resolver *r, struct relay *y, const struct address *server) {
  struct sockaddr_storage to;
  socklen_t len = sockaddr_of(server, &to);
  bool tcp = y->asker.stream != NULL;
  y->source.fd = socket(to.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (y->source.fd < 0) return -1;
  if (getrandom(&y->id, sizeof y->id, 0) != sizeof y->id) return -1;
  if (connect(y->source.fd, (const struct sockaddr *)&to, len) < 0 && errno != EINPROGRESS) return -1;
  if (tcp) return source_add(r, &y->source, EPOLLOUT);
  uint8_t head[2] = {(uint8_t)(y->id >> 8), (uint8_t)y->id};
  struct iovec parts[] = {{head, 2}, {y->query + 2, y->query_len - 2u}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  if (sendmsg(y->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return -1;
  return source_add(r, &y->source, EPOLLIN);
}

/* The next server; whoever cannot be asked is passed over. */
static void go_on(struct resolver *r, struct relay *y) {
  timed_end(&r->limits, &y->limit);
  while (y->tried < y->tries_count) {
    source_close(&y->source);
    y->in_len = y->written = 0;
    if (ask(r, y, &y->tries[y->tried++]) < 0) continue;
    return timed_begin(&r->limits, &y->limit, y);
  }
  fail(r, y);
}

void relay_begin(struct resolver *r, const struct asker *from, const struct container *c,
                 const uint8_t *bytes, size_t len, const struct query *q) {
  struct relay *y = calloc(1, sizeof *y + len);
  if (!y) return;
  y->source = (struct source){-1, SOURCE_RELAY, y};
  y->asker = *from;
  y->udp_bytes = q->udp_bytes;
  y->question_end = (uint16_t)q->question_end;
  y->query_len = (uint16_t)len;
  memcpy(y->query, bytes, len);
  y->next = r->relays;
  if (y->next) y->next->previous = y;
  r->relays = y;
  r->relay_count++;
  if (from->stream) from->stream->pending++;
  y->counted = (uint16_t)asker_of(c, from);
  bool fits = r->asking[y->counted]++ < r->relays_max / 2 && r->relay_count <= r->relays_max;
  if (fits) choose_tries(r, y, &c->servers);
  go_on(r, y);
}

void relay_late(struct resolver *r, struct relay *y) {
  call_sick(r, &y->tries[y->tried - 1], true);
  go_on(r, y);
}

void relay_forget(struct resolver *r, const struct listener *l, const struct stream *s) {
  struct relay *next;
  for (struct relay *y = r->relays; y; y = next) {
    next = y->next;
    if (s ? y->asker.stream == s : y->asker.listener == l) end(r, y);
  }
}

enum { RCODE_BITS = 15 };

/* Somebody answered: what is no answer may be one from another. */
static void answered(struct resolver *r, struct relay *y, uint8_t *bytes, size_t len) {
  uint8_t rcode = bytes[3] & RCODE_BITS;
  call_sick(r, &y->tries[y->tried - 1], false);
  bool helpless = rcode == RCODE_FAILED || rcode == RCODE_REFUSED || rcode == RCODE_UNKNOWN;
  if (!helpless || y->tried >= y->tries_count) {
    const struct container *c = asking_container(r, &y->asker);
    struct query q;
    if (c && c->limited && query_read(y->query, y->query_len, &q) == RCODE_OK &&
        !egress_admit(r, c, &q, bytes, len))
      return fail(r, y);
    return finish(r, y, bytes, len);
  }
  uint8_t *copy = malloc(len);
  if (copy) {
    memcpy(copy, bytes, len);
    free(y->last);
    y->last = copy;
    y->last_len = (uint32_t)len;
  }
  go_on(r, y);
}

static void read_datagrams(struct resolver *r, struct relay *y) {
  static uint8_t bytes[MESSAGE_MAX];
  for (int i = 0; i < DATAGRAMS; i++) {
    ssize_t n = recv(y->source.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    /* Nobody is there. */
    if (n < 0) return relay_late(r, y);
    if (reply_fits(bytes, (size_t)n, y->query, y->query_len, y->id)) return answered(r, y, bytes, (size_t)n);
  }
}

/* Length and question, the id replaced. */
static bool write_stream(struct resolver *r, struct relay *y) {
  uint8_t head[4] = {(uint8_t)(y->query_len >> 8), (uint8_t)y->query_len, (uint8_t)(y->id >> 8),
                     (uint8_t)y->id};
  while (y->written < y->query_len + 2u) {
    struct iovec parts[] = {{head + (y->written < 4 ? y->written : 4), y->written < 4 ? 4 - y->written : 0},
                            {NULL, 0}};
    uint32_t body = y->written < 4 ? 2 : y->written - 2;
    parts[1] = (struct iovec){y->query + body, y->query_len - body};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t n = sendmsg(y->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return true;
    if (n <= 0) return false;
    y->written += (uint32_t)n;
  }
  source_events(r, &y->source, EPOLLIN);
  return true;
}

static bool read_stream(struct resolver *r, struct relay *y) {
  uint32_t need = y->in_len < 2 ? HEADER_BYTES : 2u + ((uint32_t)y->in[0] << 8 | y->in[1]);
  if (!buffer_grow(&y->in, &y->in_room, need)) return false;
  ssize_t n = recv(y->source.fd, y->in + y->in_len, y->in_room - y->in_len, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return true;
  if (n <= 0) return false;
  y->in_len += (uint32_t)n;
  uint32_t len = y->in_len < 2 ? 0 : (uint32_t)y->in[0] << 8 | y->in[1];
  if (y->in_len < 2 || y->in_len - 2 < len) return true;
  if (!reply_fits(y->in + 2, len, y->query, y->query_len, y->id)) return false;
  answered(r, y, y->in + 2, len);
  return true;
}

void relay_event(struct resolver *r, struct relay *y, uint32_t events) {
  if (!y->asker.stream) return read_datagrams(r, y);
  bool good = true;
  if (events & EPOLLOUT) good = write_stream(r, y);
  if (good && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) good = read_stream(r, y);
  if (!good) relay_late(r, y);
}
