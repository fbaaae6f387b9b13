/* Clients over TCP (RFC 7766): many questions on one connection, answered as the answers come. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "resolver.h"

enum { STREAMS_MAX = 512, STREAMS_EACH = 64, PENDING_MAX = 128, OUT_MAX = 512 * 1024, READ_BYTES = 4096 };

static bool has_too_many(const struct resolver *r, const struct listener *l, const struct address *peer) {
  uint32_t count = 0;
  for (const struct stream *s = r->streams; s; s = s->next)
    count += s->listener == l && address_equal(&s->peer, peer);
  return count >= STREAMS_EACH;
}

void stream_accept(struct resolver *r, struct listener *l) {
  struct sockaddr_storage from;
  socklen_t len = sizeof from;
  int fd = accept4(l->streams.fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
  /* Nobody can be let in: whoever has said nothing for the longest time makes room. */
  if (fd < 0 && (errno == EMFILE || errno == ENFILE) && r->idle.first) stream_drop(r, r->idle.first->owner);
  if (fd < 0) return;
  struct address peer = address_of(&from);
  struct stream *s = calloc(1, sizeof *s);
  if (!s || r->stream_count >= STREAMS_MAX || has_too_many(r, l, &peer) ||
      !table_find(r->table, ENTRY_ADDRESS, l->network, peer.bytes, peer.len)) {
    close(fd);
    free(s);
    return;
  }
  s->source = (struct source){fd, SOURCE_STREAM, s};
  s->listener = l;
  s->peer = peer;
  s->next = r->streams;
  if (s->next) s->next->previous = s;
  r->streams = s;
  r->stream_count++;
  timed_begin(&r->idle, &s->idle, s);
  if (source_add(r, &s->source, EPOLLIN) < 0) stream_drop(r, s);
}

void stream_drop(struct resolver *r, struct stream *s) {
  if (s->source.fd < 0) return;
  source_close(&s->source);
  relay_forget(r, NULL, s);
  timed_end(&r->idle, &s->idle);
  *(s->previous ? &s->previous->next : &r->streams) = s->next;
  if (s->next) s->next->previous = s->previous;
  r->stream_count--;
  free(s->in);
  free(s->out);
  bury(r, s);
}

static uint32_t wanted_events(const struct stream *s) {
  bool reads = !s->ended && s->pending < PENDING_MAX && s->out_len < OUT_MAX / 2;
  return (reads ? EPOLLIN : 0u) | (s->out_len ? EPOLLOUT : 0u);
}

static void write_out(struct resolver *r, struct stream *s) {
  while (s->out_len > 0) {
    ssize_t n = send(s->source.fd, s->out, s->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) return stream_drop(r, s);
    memmove(s->out, s->out + n, s->out_len - (size_t)n);
    s->out_len -= (uint32_t)n;
  }
  if (s->ended && s->pending == 0 && s->out_len == 0) return stream_drop(r, s);
  source_events(r, &s->source, wanted_events(s));
}

void stream_send(struct resolver *r, struct stream *s, const uint8_t *bytes, size_t len) {
  if (s->source.fd < 0) return;
  if (s->out_len + len + 2 > OUT_MAX || !buffer_grow(&s->out, &s->out_room, s->out_len + (uint32_t)len + 2))
    return stream_drop(r, s);
  s->out[s->out_len] = (uint8_t)(len >> 8);
  s->out[s->out_len + 1] = (uint8_t)len;
  memcpy(s->out + s->out_len + 2, bytes, len);
  s->out_len += (uint32_t)len + 2;
  timed_end(&r->idle, &s->idle);
  timed_begin(&r->idle, &s->idle, s);
  write_out(r, s);
}

/* The whole questions that have come. */
static void take_questions(struct resolver *r, struct stream *s) {
  uint32_t at = 0;
  if (s->busy) return;
  s->busy = true;
  while (s->source.fd >= 0 && s->in_len - at >= 2 && s->pending < PENDING_MAX) {
    uint32_t len = (uint32_t)s->in[at] << 8 | s->in[at + 1];
    if (s->in_len - at - 2 < len) break;
    struct asker from = {.listener = s->listener, .stream = s, .peer = s->peer};
    at += 2 + len;
    if (!question(r, &from, s->in + at - len, len)) return stream_drop(r, s);
  }
  s->busy = false;
  if (s->source.fd < 0 || at == 0) return;
  memmove(s->in, s->in + at, s->in_len - at);
  s->in_len -= at;
}

void stream_settle(struct resolver *r, struct stream *s) {
  if (s->source.fd < 0) return;
  s->pending--;
  take_questions(r, s);
  if (s->source.fd >= 0) write_out(r, s);
}

void stream_event(struct resolver *r, struct stream *s, uint32_t events) {
  if (events & (EPOLLERR | EPOLLHUP)) return stream_drop(r, s);
  if (events & EPOLLOUT) write_out(r, s);
  if (s->source.fd < 0 || !(events & EPOLLIN)) return;
  if (!buffer_grow(&s->in, &s->in_room, s->in_len + READ_BYTES)) return stream_drop(r, s);
  ssize_t n = recv(s->source.fd, s->in + s->in_len, READ_BYTES, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return stream_drop(r, s);
  if (n == 0)
    s->ended = true;
  else
    s->in_len += (uint32_t)n;
  take_questions(r, s);
  if (s->source.fd >= 0) write_out(r, s);
}
