/* TCP: what comes from one side goes to the other through a pipe, and is never in our memory. */
#include "network.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>

enum { PIPE_BYTES = 262144, TURNS = 16, SPARES = 64, ACCEPTS = 16 };

/* From one end to the other. */
struct way {
  int pipe[2]; /* while something is in it */
  size_t held;
  bool eof, over;
};

struct end {
  struct source source;
  struct stream *stream;
};

struct stream {
  struct end end[2]; /* the client, the container */
  struct way way[2]; /* from end N to the other */
  struct forward *forward;
  struct stream *next, *next_busy;
  bool connecting, is_busy;
};

static bool pipe_take(struct keeper *keeper, struct way *way) {
  if (way->pipe[0] >= 0) return true;
  if (keeper->spare_count) {
    memcpy(way->pipe, keeper->spare_pipes[--keeper->spare_count], sizeof way->pipe);
    return true;
  }
  if (pipe2(way->pipe, O_CLOEXEC | O_NONBLOCK) < 0) return way->pipe[0] = -1, false;
  fcntl(way->pipe[0], F_SETPIPE_SZ, PIPE_BYTES);
  return true;
}

/* An empty one is somebody else's next. */
static void pipe_give(struct keeper *keeper, struct way *way) {
  if (way->pipe[0] < 0) return;
  if (way->held == 0 && keeper->spare_count < SPARES) {
    memcpy(keeper->spare_pipes[keeper->spare_count++], way->pipe, sizeof way->pipe);
  } else {
    close(way->pipe[0]);
    close(way->pipe[1]);
  }
  way->pipe[0] = -1;
}

static void busy_leave(struct stream *stream) {
  struct stream **at = &stream->forward->source.keeper->busy;
  while (*at && *at != stream)
    at = &(*at)->next_busy;
  if (*at) *at = stream->next_busy;
  stream->is_busy = false;
}

/* With `reset` whoever is still there sees that it did not end well. */
static void stream_end(struct stream *stream, bool reset) {
  struct forward *forward = stream->forward;
  struct keeper *keeper = forward->source.keeper;
  if (stream->is_busy) busy_leave(stream);
  for (int i = 0; i < 2; i++) {
    const struct linger at_once = {1, 0};
    if (reset && stream->end[i].source.fd >= 0)
      setsockopt(stream->end[i].source.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    source_end(&stream->end[i].source);
    pipe_give(keeper, &stream->way[i]);
  }
  struct stream **at = &forward->streams;
  while (*at != stream)
    at = &(*at)->next;
  *at = stream->next;
  later_free(keeper, stream);
  keeper->streams--;
  keeper_accepts(keeper, true);
}

enum moved { MOVED_ALL, MOVED_SHARE, MOVED_FAILED };

static bool is_later(void) {
  return errno == EAGAIN || errno == EINTR;
}

static enum moved move(struct stream *stream, int from) {
  struct keeper *keeper = stream->forward->source.keeper;
  struct way *way = &stream->way[from];
  int in = stream->end[from].source.fd, out = stream->end[!from].source.fd;
  for (int turn = 0; turn < TURNS; turn++) {
    if (way->over) return MOVED_ALL;
    if (!way->held && !way->eof) {
      if (!pipe_take(keeper, way)) return MOVED_FAILED;
      ssize_t n = splice(in, NULL, way->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (n < 0 && !is_later()) return MOVED_FAILED;
      if (n < 0) break;
      way->eof = n == 0;
      way->held = (size_t)n;
    }
    if (way->held) {
      ssize_t n = splice(way->pipe[0], NULL, out, NULL, way->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (n < 0 && !is_later()) return MOVED_FAILED;
      if (n < 0) return MOVED_ALL;
      way->held -= (size_t)n;
    }
    if (way->eof && !way->held) {
      shutdown(out, SHUT_WR);
      way->over = true;
    }
    if (turn == TURNS - 1) return MOVED_SHARE;
  }
  if (!way->held) pipe_give(keeper, way);
  return MOVED_ALL;
}

static void go_on(struct stream *stream) {
  struct keeper *keeper = stream->forward->source.keeper;
  for (int from = 0; from < 2; from++) {
    enum moved moved = move(stream, from);
    if (moved == MOVED_FAILED) return stream_end(stream, true);
    if (moved != MOVED_SHARE || stream->is_busy) continue;
    stream->is_busy = true;
    stream->next_busy = keeper->busy;
    keeper->busy = stream;
  }
  if (stream->way[0].over && stream->way[1].over) stream_end(stream, false);
}

void stream_go_on(struct keeper *keeper) {
  struct stream *busy = keeper->busy, *next;
  keeper->busy = NULL;
  /* Those that end now are none of the list any more; others they do not touch. */
  for (struct stream *s = busy; s; s = s->next_busy)
    s->is_busy = false;
  for (; busy; busy = next) {
    next = busy->next_busy;
    go_on(busy);
  }
}

static void on_end(struct source *source, uint32_t events) {
  struct stream *stream = ((struct end *)source)->stream;
  if (stream->connecting) {
    int err = 0;
    socklen_t size = sizeof err;
    int fd = stream->end[1].source.fd;
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof peer;
    if (events & EPOLLERR || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0 || err)
      return stream_end(stream, true);
    if (getpeername(fd, (struct sockaddr *)&peer, &peer_size) < 0) return;
    stream->connecting = false;
  }
  if (events & EPOLLERR) return stream_end(stream, true);
  go_on(stream);
}

static bool is_loopback(const struct sockaddr_storage *address) {
  if (address->ss_family == AF_INET)
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
  return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

int speak_as(const struct target *target, int type, const struct sockaddr_storage *client, bool with_port) {
  SCOPED_FD fd = socket(target->address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (target->transparent && !is_loopback(client)) {
    const int yes = 1;
    struct sockaddr_storage own = *client;
    bool v6 = own.ss_family == AF_INET6;
    if (v6) ((struct sockaddr_in6 *)&own)->sin6_scope_id = 0;
    if (!with_port) {
      *(v6 ? &((struct sockaddr_in6 *)&own)->sin6_port : &((struct sockaddr_in *)&own)->sin_port) = 0;
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    }
    /* Where it is refused, containers see the gateway: better than nothing. */
    if (setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &yes,
                   sizeof yes) == 0)
      bind(fd, (struct sockaddr *)&own, target->size);
  }
  if (connect(fd, (const struct sockaddr *)&target->address, target->size) < 0 && errno != EINPROGRESS)
    return -1;
  int out = fd;
  fd = -1;
  return out;
}

static void no_delay(int fd) {
  const int yes = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

static void stream_begin(struct forward *forward, int client, const struct sockaddr_storage *address) {
  struct keeper *keeper = forward->source.keeper;
  struct stream *stream = calloc(1, sizeof *stream);
  int container = stream ? speak_as(&forward->target, SOCK_STREAM, address, false) : -1;
  if (container < 0) {
    const struct linger at_once = {1, 0};
    setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(client);
    free(stream);
    return;
  }
  const int fds[2] = {client, container};
  stream->forward = forward;
  stream->connecting = true;
  stream->next = forward->streams;
  forward->streams = stream;
  keeper->streams++;
  bool good = true;
  for (int i = 0; i < 2; i++) {
    no_delay(fds[i]);
    stream->way[i].pipe[0] = -1;
    stream->end[i] = (struct end){.source = {.fd = fds[i], .on = on_end}, .stream = stream};
    good = source_add(keeper, &stream->end[i].source, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) == 0 && good;
  }
  if (!good) return stream_end(stream, true);
  if (keeper->streams == keeper->max_streams) keeper_accepts(keeper, false);
}

static void on_forward(struct source *source, uint32_t events) {
  (void)events;
  for (int i = 0; i < ACCEPTS && source->keeper->streams < source->keeper->max_streams; i++) {
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd = accept4(source->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) keeper_accepts(source->keeper, false);
    if (fd < 0) return;
    stream_begin((struct forward *)source, fd, &address);
  }
}

bool stream_start(struct forward *forward) {
  int flags = fcntl(forward->source.fd, F_GETFL);
  forward->source.on = on_forward;
  return flags >= 0 && fcntl(forward->source.fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
         source_add(forward->source.keeper, &forward->source,
                    forward->source.keeper->accepts ? EPOLLIN : 0) == 0;
}

void stream_end_all(struct forward *forward) {
  while (forward->streams)
    stream_end(forward->streams, true);
}
