/* The worker: its loop, its table, and what becomes of a question. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd-message.h"
#include "resolver.h"

enum { EVENTS = 64, IDLE_MS = 10000, LIMIT_MS = 1500 };

int source_add(struct resolver *r, struct source *s, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = s};
  return epoll_ctl(r->epoll, EPOLL_CTL_ADD, s->fd, &event);
}

void source_events(struct resolver *r, struct source *s, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = s};
  epoll_ctl(r->epoll, EPOLL_CTL_MOD, s->fd, &event);
}

void source_close(struct source *s) {
  if (s->fd >= 0) close(s->fd);
  s->fd = -1;
}

static void dig_graves(struct resolver *r) {
  while (r->graves) {
    void *dead = r->graves;
    r->graves = *(void **)dead;
    free(dead);
  }
}

void bury(struct resolver *r, void *dead) {
  *(void **)dead = r->graves;
  r->graves = dead;
}

bool buffer_grow(uint8_t **bytes, uint32_t *room, uint32_t need) {
  if (need <= *room) return true;
  uint32_t size = *room ? *room : 1024;
  while (size < need)
    size *= 2;
  uint8_t *more = realloc(*bytes, size);
  if (!more) return false;
  *bytes = more;
  *room = size;
  return true;
}

void timed_begin(struct timed_list *list, struct timed *t, void *owner) {
  *t = (struct timed){.previous = list->last, .until_ms = now_ms() + list->after_ms, .owner = owner};
  *(list->last ? &list->last->next : &list->first) = t;
  list->last = t;
}

void timed_end(struct timed_list *list, struct timed *t) {
  if (!t->owner) return;
  *(t->previous ? &t->previous->next : &list->first) = t->next;
  *(t->next ? &t->next->previous : &list->last) = t->previous;
  *t = (struct timed){0};
}

void *timed_over(const struct timed_list *list, int64_t now) {
  return list->first && list->first->until_ms <= now ? list->first->owner : NULL;
}

struct address address_of(const struct sockaddr_storage *from) {
  struct address a = {0};
  if (from->ss_family == AF_INET) {
    a.len = 4;
    memcpy(a.bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
  } else if (from->ss_family == AF_INET6) {
    a.len = 16;
    memcpy(a.bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
  }
  return a;
}

socklen_t sockaddr_of(const struct address *a, struct sockaddr_storage *out) {
  memset(out, 0, sizeof *out);
  if (a->len == 4) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(DNS_PORT);
    memcpy(&v4->sin_addr, a->bytes, 4);
    return sizeof *v4;
  }
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(DNS_PORT);
  memcpy(&v6->sin6_addr, a->bytes, 16);
  return sizeof *v6;
}

void reply(struct resolver *r, const struct asker *to, uint8_t *bytes, size_t len) {
  if (to->stream)
    stream_send(r, to->stream, bytes, len);
  else if (to->listener->datagrams.fd >= 0)
    sendto(to->listener->datagrams.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL,
           (const struct sockaddr *)&to->to,
           to->peer.len == 4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

const struct container *asking_container(const struct resolver *r, const struct asker *from) {
  const struct entry *who =
      table_find(r->table, ENTRY_ADDRESS, from->listener->network, from->peer.bytes, from->peer.len);
  return who ? &r->table->containers[who->container] : NULL;
}

bool question(struct resolver *r, const struct asker *from, const uint8_t *bytes, size_t len) {
  static uint8_t out[MESSAGE_MAX];
  struct query q;
  struct answer a;
  /* Containers alone are answered, each in the networks it lives in. */
  const struct container *c = asking_container(r, from);
  int rcode = c ? query_read(bytes, len, &q) : -1;
  if (rcode < 0) return false;
  if (rcode != RCODE_OK) {
    reply(r, from, out, answer_error(out, bytes, (enum rcode)rcode));
    return true;
  }
  size_t room = from->stream ? sizeof out : q.udp_bytes < UDP_EDNS ? q.udp_bytes : UDP_EDNS;
  size_t size = answer_local(r->table, c, from->listener->network, bytes, &q, out, room);
  if (size && c->limited && !egress_admit(r, c, &q, out, size)) {
    answer_begin(&a, out, room, bytes, &q);
    size = answer_end(&a, RCODE_FAILED, &q);
  }
  if (size == 0 && c->relays && (!c->limited || egress_asks(c, &q))) {
    relay_begin(r, from, c, bytes, len, &q);
    return true;
  }
  if (size == 0) {
    /* It may not go there, by its networks or by its list. */
    if (c->limited) denial_name(&r->denials, c, q.name, q.name_len);
    answer_begin(&a, out, room, bytes, &q);
    size = answer_end(&a, RCODE_NO_NAME, &q);
  }
  reply(r, from, out, size);
  return true;
}

/* The table as it is now. Without one there is nobody left; one we cannot read is for a newer resolver. */
static void load(struct resolver *r) {
  struct stat st;
  int fd = open("/table", O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) _exit(EXIT_DONE);
  if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > (off_t)TABLE_MAX_BYTES) _exit(EXIT_AGAIN);
  size_t size = (size_t)st.st_size, len = 0;
  uint8_t *bytes = malloc(size + 1);
  ssize_t n = 0;
  while (bytes && len < size && (n = read(fd, bytes + len, size - len)) > 0)
    len += (size_t)n;
  close(fd);
  if (!bytes) _exit(EXIT_AGAIN);
  struct table *table = table_read(bytes, len);
  if (!table) _exit(errno == ENOMEM ? EXIT_AGAIN : EXIT_DONE);
  if (r->table) table_free(r->table);
  r->table = table;
  listeners_settle(r);
}

/* With the first byte comes the file of events as it is now: it is another one from time to time. */
static void take_events(struct resolver *r, int fd) {
  const struct timeval patience = {0, 200000};
  char byte;
  int events;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (recv_with_fd(fd, &byte, 1, &events, 0) <= 0 || events < 0) return;
  if (r->denials.events >= 0) close(r->denials.events);
  r->denials.events = events;
}

/* Somebody changed the table and wants to know when it holds: a line for each gateway that nobody can ask,
 * "BRIDGE ERRNO", and a last one. */
static void serve_control(struct resolver *r) {
  char text[4096];
  size_t len = 0;
  int fd = accept4(r->control.fd, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  take_events(r, fd);
  load(r);
  for (const struct listener *l = r->listeners; l; l = l->next)
    if (l->error && len < sizeof text - 64)
      len += (size_t)snprintf(text + len, 64, "%s %d\n", l->bridge, l->error);
  text[len++] = '.';
  send(fd, text, len, MSG_NOSIGNAL);
  close(fd);
}

/* Packets that were refused. */
static void read_denials(struct resolver *r) {
  _Alignas(struct nlmsghdr) uint8_t bytes[8192];
  struct denied_packet packet;
  for (int i = 0; i < EVENTS; i++) {
    ssize_t n = recv(r->denied.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    /* ENOBUFS: more than we could read; what is left is told. */
    if (n < 0 && errno != ENOBUFS) return;
    for (const struct nlmsghdr *h = (const void *)bytes; n > 0 && NLMSG_OK(h, (size_t)n);
         h = NLMSG_NEXT(h, n))
      if (h->nlmsg_type == (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) &&
          denial_read(NLMSG_DATA(h), h->nlmsg_len - NLMSG_HDRLEN, &packet))
        denial_packet(&r->denials, r->table, &packet);
  }
}

/* The table lost its name, or the directory its place. */
static void see_changes(struct resolver *r) {
  char events[4096];
  while (read(r->watch.fd, events, sizeof events) > 0)
    ;
  int fd = open("/table", O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) _exit(EXIT_DONE);
  if (fd >= 0) close(fd);
}

static void dispatch(struct resolver *r, struct source *s, uint32_t events) {
  if (s->fd < 0) return;
  switch (s->kind) {
  case SOURCE_CONTROL:
    serve_control(r);
    break;
  case SOURCE_WATCH:
    see_changes(r);
    break;
  case SOURCE_DENIED:
    read_denials(r);
    break;
  case SOURCE_DATAGRAMS:
    listener_read(r, s->owner);
    break;
  case SOURCE_ACCEPT:
    stream_accept(r, s->owner);
    break;
  case SOURCE_STREAM:
    stream_event(r, s->owner, events);
    break;
  case SOURCE_RELAY:
    relay_event(r, s->owner, events);
    break;
  }
}

static int wait_ms(const struct resolver *r, int64_t now) {
  int64_t next = INT64_MAX;
  if (r->idle.first) next = r->idle.first->until_ms;
  if (r->limits.first && r->limits.first->until_ms < next) next = r->limits.first->until_ms;
  if (next == INT64_MAX) return -1;
  return next > now ? (int)(next - now) : 0;
}

void worker_main(int keeper, int denied, uint32_t relays) {
  static struct resolver r;
  struct epoll_event events[EVENTS];
  r.epoll = epoll_create1(EPOLL_CLOEXEC);
  r.keeper = keeper;
  r.denied = (struct source){denied, SOURCE_DENIED, NULL};
  r.denials.events = FD_EVENTS;
  r.relays_max = relays;
  r.idle.after_ms = IDLE_MS;
  r.limits.after_ms = LIMIT_MS;
  r.control = (struct source){FD_CONTROL, SOURCE_CONTROL, NULL};
  r.watch = (struct source){inotify_init1(IN_CLOEXEC | IN_NONBLOCK), SOURCE_WATCH, NULL};
  if (r.epoll < 0 || r.watch.fd < 0 ||
      inotify_add_watch(r.watch.fd, "/", IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR) < 0 ||
      source_add(&r, &r.control, EPOLLIN) < 0 || source_add(&r, &r.watch, EPOLLIN) < 0)
    _exit(EXIT_AGAIN);
  if (denied >= 0 && source_add(&r, &r.denied, EPOLLIN) < 0) _exit(EXIT_AGAIN);
  load(&r);
  for (;;) {
    void *over;
    int count = epoll_wait(r.epoll, events, EVENTS, wait_ms(&r, now_ms()));
    if (count < 0 && errno != EINTR) _exit(EXIT_AGAIN);
    for (int i = 0; i < count; i++)
      dispatch(&r, events[i].data.ptr, events[i].events);
    int64_t now = now_ms();
    while ((over = timed_over(&r.limits, now)))
      relay_late(&r, over);
    while ((over = timed_over(&r.idle, now)))
      stream_drop(&r, over);
    dig_graves(&r);
  }
}
