/*
 * The keeper: clients that are connected to its socket are what it lives for. Each may have ports forwarded,
 * which end with its connection: the monitor of a container has it, so that a port is free when the container
 * has ended, however it did.
 */
#include "network.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/capabilities.h"
#include "common/clock.h"
#include "common/fd-message.h"

/* Ours by number, from who started us. */
enum { FD_LISTENER = 3, FD_NETNS = 4 };
/* Nobody uses the networks for so long: then they go. */
enum { IDLE_MS = 3000, EXPIRE_MS = 5000, MAX_FORWARDS = 65535, FDS_PER_STREAM = 6 };

/* What a client sends, with at most one descriptor; it is answered by an errno. */
struct request {
  uint8_t kind, flags, family, unused;
  uint8_t port[2], unused2[2];
  uint8_t address[16];
};
_Static_assert(sizeof(struct request) == 24, "src/network/keeper.ts writes the same");
enum {
  ASK_STREAM = 1, /* forward a socket that listens */
  ASK_DATAGRAM,   /* forward a bound socket */
  ASK_PROCESS,    /* this client is there as long as the process of a pidfd, not the connection */
  ASK_WAY_OUT,    /* this client is the way out: nobody stays for it */
};
enum { FLAG_TRANSPARENT = 1 };

struct client {
  struct source source;
  struct source process;
  struct client *next;
  struct forward *forwards;
  unsigned count;
  bool is_way_out;
  int pending; /* came with the request that is being read */
  size_t have;
  struct request request;
};

int source_add(struct keeper *keeper, struct source *source, uint32_t events) {
  source->keeper = keeper;
  struct epoll_event event = {.events = events, .data.ptr = source};
  return epoll_ctl(keeper->epoll, EPOLL_CTL_ADD, source->fd, &event);
}

void source_want(struct source *source, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  epoll_ctl(source->keeper->epoll, EPOLL_CTL_MOD, source->fd, &event);
}

void source_end(struct source *source) {
  if (source->fd < 0) return;
  /* Others may still have the same socket open: closing alone would not end it. */
  if (source->keeper) epoll_ctl(source->keeper->epoll, EPOLL_CTL_DEL, source->fd, NULL);
  close(source->fd);
  source->fd = -1;
}

void later_free(struct keeper *keeper, void *memory) {
  if (keeper->garbage_count == keeper->garbage_room) {
    unsigned room = keeper->garbage_room * 2 + 64;
    void **more = realloc(keeper->garbage, room * sizeof *more);
    if (!more) _exit(125);
    keeper->garbage = more, keeper->garbage_room = room;
  }
  keeper->garbage[keeper->garbage_count++] = memory;
}

static void forward_free(struct forward *forward) {
  struct keeper *keeper = forward->source.keeper;
  stream_end_all(forward);
  datagram_end_all(forward);
  source_end(&forward->source);
  later_free(keeper, forward);
}

static bool is_used(const struct keeper *keeper) {
  for (const struct client *c = keeper->clients; c; c = c->next)
    if (!c->is_way_out) return true;
  return false;
}

static void client_end(struct client *client) {
  struct keeper *keeper = client->source.keeper;
  for (struct forward *f = client->forwards, *next; f; f = next) {
    next = f->next;
    forward_free(f);
  }
  source_end(&client->source);
  source_end(&client->process);
  if (client->pending >= 0) close(client->pending);
  struct client **at = &keeper->clients;
  while (*at != client)
    at = &(*at)->next;
  *at = client->next;
  later_free(keeper, client);
  if (!is_used(keeper)) keeper->idle_since_ms = keeper->now_ms;
}

static bool read_target(const struct request *r, struct target *target) {
  *target = (struct target){.transparent = r->flags & FLAG_TRANSPARENT};
  if (r->family == 4) {
    struct sockaddr_in *in = (void *)&target->address;
    in->sin_family = AF_INET;
    memcpy(&in->sin_port, r->port, 2);
    memcpy(&in->sin_addr, r->address, 4);
    target->size = sizeof *in;
  } else if (r->family == 6) {
    struct sockaddr_in6 *in6 = (void *)&target->address;
    in6->sin6_family = AF_INET6;
    memcpy(&in6->sin6_port, r->port, 2);
    memcpy(&in6->sin6_addr, r->address, 16);
    target->size = sizeof *in6;
  }
  return target->size > 0 && (r->port[0] | r->port[1]);
}

/* It is what it is said to be. */
static bool is_socket(int fd, int family, int type) {
  int value;
  socklen_t size = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) < 0 || value != type) return false;
  return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) == 0 && value == family;
}

static int forward_add(struct client *client, int *socket) {
  struct keeper *keeper = client->source.keeper;
  const struct request *r = &client->request;
  bool is_stream = r->kind == ASK_STREAM;
  struct forward *forward = calloc(1, sizeof *forward);
  if (!forward || client->count >= MAX_FORWARDS) {
    free(forward);
    return ENOMEM;
  }
  bool good = read_target(r, &forward->target) &&
              is_socket(*socket, forward->target.address.ss_family, is_stream ? SOCK_STREAM : SOCK_DGRAM);
  forward->source = (struct source){.keeper = keeper, .fd = *socket};
  if (!good || !(is_stream ? stream_start(forward) : datagram_start(forward))) {
    int err = good ? errno : EINVAL;
    free(forward->sessions);
    free(forward);
    return err;
  }
  *socket = -1;
  forward->next = client->forwards;
  client->forwards = forward;
  client->count++;
  return 0;
}

static void on_process(struct source *source, uint32_t events) {
  (void)events;
  client_end((struct client *)((char *)source - offsetof(struct client, process)));
}

/* Anything else would never end, and its client with it. */
static bool is_process(int fd) {
  return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 || errno == EPERM || errno == ESRCH;
}

static int obey(struct client *client) {
  SCOPED_FD given = client->pending;
  client->pending = -1;
  switch (client->request.kind) {
  case ASK_STREAM:
  case ASK_DATAGRAM:
    return given < 0 ? EBADF : forward_add(client, &given);
  case ASK_PROCESS:
    if (given < 0 || client->process.fd >= 0 || !is_process(given)) return EINVAL;
    client->process = (struct source){.fd = given, .on = on_process};
    if (source_add(client->source.keeper, &client->process, EPOLLIN) < 0) {
      client->process.fd = -1;
      return errno;
    }
    given = -1;
    return 0;
  case ASK_WAY_OUT:
    client->is_way_out = true;
    return 0;
  default:
    return EOPNOTSUPP;
  }
}

/* More of a request. False: the client is gone, or speaks another language. */
static bool hear(struct client *client) {
  int fd;
  ssize_t n = recv_with_fd(client->source.fd, (char *)&client->request + client->have,
                           sizeof client->request - client->have, &fd, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (fd >= 0) {
    if (client->pending >= 0) close(client->pending);
    client->pending = fd;
  }
  if (n == 0) return false;
  client->have += (size_t)n;
  if (client->have < sizeof client->request) return true;
  client->have = 0;
  int answer = obey(client);
  return send(client->source.fd, &answer, sizeof answer, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof answer;
}

static void on_client(struct source *source, uint32_t events) {
  struct client *client = (struct client *)source;
  (void)events;
  if (hear(client)) return;
  if (client->process.fd >= 0)
    source_end(&client->source);
  else
    client_end(client);
}

static bool has_way_out(const struct keeper *keeper) {
  for (const struct client *c = keeper->clients; c; c = c->next)
    if (c->is_way_out) return true;
  return false;
}

/* The first that a client hears: our namespace, and whether it has a way out. */
static bool greet(const struct keeper *keeper, int fd) {
  char way_out = (char)has_way_out(keeper);
  struct iovec part = {&way_out, 1};
  return send_with_fd(fd, &part, 1, keeper->netns, MSG_DONTWAIT) == 1;
}

static void on_listener(struct source *source, uint32_t events) {
  struct keeper *keeper = source->keeper;
  SCOPED_FD fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC);
  (void)events;
  struct client *client = fd < 0 || !greet(keeper, fd) ? NULL : calloc(1, sizeof *client);
  if (!client) return;
  client->source = (struct source){.fd = fd, .on = on_client};
  client->process.fd = client->pending = -1;
  if (source_add(keeper, &client->source, EPOLLIN) < 0) {
    free(client);
    return;
  }
  fd = -1;
  client->next = keeper->clients;
  keeper->clients = client;
}

void keeper_accepts(struct keeper *keeper, bool accepts) {
  if (keeper->accepts == accepts) return;
  keeper->accepts = accepts;
  for (struct client *c = keeper->clients; c; c = c->next)
    for (struct forward *f = c->forwards; f; f = f->next)
      if (!f->sessions) source_want(&f->source, accepts ? EPOLLIN : 0);
}

static void expire(struct keeper *keeper) {
  if (keeper->now_ms - keeper->expired_ms < EXPIRE_MS) return;
  keeper->expired_ms = keeper->now_ms;
  keeper_accepts(keeper, keeper->streams < keeper->max_streams);
  for (struct client *c = keeper->clients; c; c = c->next)
    for (struct forward *f = c->forwards; f; f = f->next)
      datagram_expire(f, keeper->now_ms);
}

/* Shares the descriptors out: an eighth is for clients that speak by datagrams. */
static void raise_limit(struct keeper *keeper) {
  struct rlimit limit = {.rlim_max = 512};
  unsigned all = 1u << 20;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < all) all = (unsigned)limit.rlim_cur;
  keeper->max_sessions = all / 8;
  keeper->max_streams = (all - keeper->max_sessions) / (FDS_PER_STREAM + 1);
}

_Noreturn void keeper_main(void) {
  if (setns(FD_NETNS, CLONE_NEWNET) < 0) _exit(125);
  /* To speak with a client's address and port. */
  if (keep_capabilities(1u << CAP_NET_RAW | 1u << CAP_NET_BIND_SERVICE) < 0) _exit(125);
  struct keeper keeper = {.epoll = epoll_create1(EPOLL_CLOEXEC), .netns = FD_NETNS, .accepts = true};
  raise_limit(&keeper);
  keeper.now_ms = keeper.idle_since_ms = now_ms();
  struct source listener = {.fd = FD_LISTENER, .on = on_listener};
  if (keeper.epoll < 0 || source_add(&keeper, &listener, EPOLLIN) < 0) _exit(125);
  for (;;) {
    struct epoll_event events[64];
    int64_t left = is_used(&keeper) ? EXPIRE_MS : keeper.idle_since_ms + IDLE_MS - keeper.now_ms;
    int n = epoll_wait(keeper.epoll, events, 64, keeper.busy || left < 0 ? 0 : (int)left);
    keeper.now_ms = now_ms();
    for (int i = 0; i < n; i++) {
      struct source *source = events[i].data.ptr;
      if (source->fd >= 0) source->on(source, events[i].events);
    }
    stream_go_on(&keeper);
    expire(&keeper);
    while (keeper.garbage_count)
      free(keeper.garbage[--keeper.garbage_count]);
    if (!is_used(&keeper) && keeper.now_ms - keeper.idle_since_ms >= IDLE_MS) _exit(0);
  }
}
