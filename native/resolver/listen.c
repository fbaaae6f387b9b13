/* The gateways' sockets: bound to the bridge and to its address, so that nobody else can reach them. */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "resolver.h"

enum { BACKLOG = 128, BATCH = 64, DATAGRAM_MAX = 4096, QUEUE_BYTES = 1024 * 1024 };

static int link_index(const char *name) {
  struct ifreq request = {0};
  memcpy(request.ifr_name, name, strlen(name));
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -1 : ioctl(fd, SIOCGIFINDEX, &request);
  if (fd >= 0) close(fd);
  return result < 0 ? 0 : request.ifr_ifindex;
}

static int bound_socket(const struct listener *l, int type) {
  struct sockaddr_storage address;
  socklen_t len = sockaddr_of(&l->address, &address);
  const int on = 1, queue = QUEUE_BYTES;
  int fd = socket(address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (l->address.len == 16) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  /* Connections of the one before us do not matter. */
  if (type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue);
  if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, l->bridge, (socklen_t)strlen(l->bridge)) == 0 &&
      bind(fd, (const struct sockaddr *)&address, len) == 0 &&
      (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0))
    return fd;
  int saved = errno;
  close(fd);
  errno = saved;
  return -1;
}

static void close_listener(struct resolver *r, struct listener *l) {
  source_close(&l->datagrams);
  source_close(&l->streams);
  struct stream *next;
  for (struct stream *s = r->streams; s; s = next) {
    next = s->next;
    if (s->listener == l) stream_drop(r, s);
  }
  relay_forget(r, l, NULL);
}

/* A resolver that was killed loses its life a moment before its sockets: so long ours wait for them. */
static int freed_socket(const struct resolver *r, const struct listener *l, int type) {
  const struct timespec pause = {0, 1000000};
  int fd = bound_socket(l, type);
  for (int i = 0; fd < 0 && errno == EADDRINUSE && !r->settled && i < 50; i++) {
    nanosleep(&pause, NULL);
    fd = bound_socket(l, type);
  }
  return fd;
}

static void open_listener(struct resolver *r, struct listener *l) {
  l->error = 0;
  l->datagrams.fd = freed_socket(r, l, SOCK_DGRAM);
  if (l->datagrams.fd >= 0) l->streams.fd = freed_socket(r, l, SOCK_STREAM);
  if (l->streams.fd >= 0 && source_add(r, &l->datagrams, EPOLLIN) == 0 &&
      source_add(r, &l->streams, EPOLLIN) == 0)
    return;
  l->error = errno;
  close_listener(r, l);
}

static void want(struct resolver *r, uint32_t network, const struct address *address) {
  const struct network *n = &r->table->networks[network];
  int link = link_index(n->bridge);
  struct listener *l = r->listeners;
  while (l && !(strcmp(l->bridge, n->bridge) == 0 && address_equal(&l->address, address)))
    l = l->next;
  if (!l) {
    l = calloc(1, sizeof *l);
    if (!l) _exit(EXIT_AGAIN);
    strcpy(l->bridge, n->bridge);
    l->address = *address;
    l->datagrams = (struct source){-1, SOURCE_DATAGRAMS, l};
    l->streams = (struct source){-1, SOURCE_ACCEPT, l};
    l->next = r->listeners;
    r->listeners = l;
  } else if (l->link != link)
    close_listener(r, l);
  l->network = network;
  l->link = link;
  l->wanted = true;
  if (l->datagrams.fd < 0) open_listener(r, l);
}

void listeners_settle(struct resolver *r) {
  for (struct listener *l = r->listeners; l; l = l->next)
    l->wanted = false;
  for (uint32_t i = 0; i < r->table->network_count; i++)
    for (int family = 0; family < 2; family++) {
      const struct address *gateway = &r->table->networks[i].gateways[family].address;
      if (gateway->len) want(r, i, gateway);
    }
  for (struct listener **at = &r->listeners, *l; (l = *at);) {
    if (l->wanted) {
      at = &l->next;
      continue;
    }
    *at = l->next;
    close_listener(r, l);
    bury(r, l);
  }
  r->settled = true;
}

void listener_read(struct resolver *r, struct listener *l) {
  uint8_t bytes[DATAGRAM_MAX];
  for (int i = 0; i < BATCH && l->datagrams.fd >= 0; i++) {
    struct asker from = {.listener = l};
    socklen_t len = sizeof from.to;
    ssize_t n = recvfrom(l->datagrams.fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC,
                         (struct sockaddr *)&from.to, &len);
    if (n < 0) return;
    from.peer = address_of(&from.to);
    if ((size_t)n <= sizeof bytes) question(r, &from, bytes, (size_t)n);
  }
}
