/* UDP: each client of a port has a socket of its own to the container, for as long as they speak. */
#include "network.h"

#include <fcntl.h>
#include <stdlib.h>

enum { BUCKETS = 256, MAX_SESSIONS = 1024, SILENT_MS = 60000, BATCH = 64, MAX_DATAGRAM = 65536 };

struct session {
  struct source source;
  struct forward *forward;
  struct session *next;
  struct sockaddr_storage client;
  socklen_t client_size;
  /* The address of the machine that the client spoke to: the answer comes from there. */
  union {
    struct in_addr v4;
    struct in6_addr v6;
  } here;
  int64_t last_ms;
};

static char buffer[MAX_DATAGRAM];

union control {
  struct cmsghdr head;
  char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

static unsigned bucket_of(const struct sockaddr_storage *client, socklen_t size) {
  const unsigned char *bytes = (const void *)client;
  uint32_t hash = 0x811c9dc5;
  for (socklen_t i = 0; i < size; i++)
    hash = (hash ^ bytes[i]) * 0x01000193;
  return hash % BUCKETS;
}

static void session_end(struct session *session) {
  struct forward *forward = session->forward;
  struct session **at = &forward->sessions[bucket_of(&session->client, session->client_size)];
  while (*at != session)
    at = &(*at)->next;
  *at = session->next;
  forward->count--;
  forward->source.keeper->sessions--;
  source_end(&session->source);
  later_free(forward->source.keeper, session);
}

static void end_before(struct forward *forward, int64_t ms) {
  for (unsigned i = 0; forward->sessions && i < BUCKETS; i++)
    for (struct session *s = forward->sessions[i], *next; s; s = next) {
      next = s->next;
      if (s->last_ms < ms) session_end(s);
    }
}

void datagram_expire(struct forward *forward, int64_t now_ms) {
  end_before(forward, now_ms - SILENT_MS);
}

/* The one that was silent for longest makes room. */
static void make_room(struct forward *forward) {
  struct session *oldest = NULL;
  for (unsigned i = 0; i < BUCKETS; i++)
    for (struct session *s = forward->sessions[i]; s; s = s->next)
      if (!oldest || s->last_ms < oldest->last_ms) oldest = s;
  if (oldest) session_end(oldest);
}

/* From the container to the client. */
static void on_session(struct source *source, uint32_t events) {
  struct session *session = (struct session *)source;
  (void)events;
  for (int i = 0; i < BATCH; i++) {
    ssize_t n = recv(source->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    /* Refused: the container may listen later. */
    if (n < 0 && errno == ECONNREFUSED) continue;
    if (n < 0) return;
    bool v6 = session->client.ss_family == AF_INET6;
    struct in_pktinfo four = {.ipi_spec_dst = session->here.v4};
    struct in6_pktinfo six = {.ipi6_addr = session->here.v6};
    size_t size = v6 ? sizeof six : sizeof four;
    union control control = {0};
    struct iovec part = {buffer, (size_t)n};
    struct msghdr message = {.msg_name = &session->client,
                             .msg_namelen = session->client_size,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    *c = (struct cmsghdr){.cmsg_level = v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                          .cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO,
                          .cmsg_len = CMSG_LEN(size)};
    memcpy(CMSG_DATA(c), v6 ? (void *)&six : (void *)&four, size);
    sendmsg(session->forward->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    session->last_ms = source->keeper->now_ms;
  }
}

static void read_here(struct msghdr *message, struct session *session) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      session->here.v4 = info.ipi_spec_dst;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      struct in6_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      session->here.v6 = info.ipi6_addr;
    }
  }
}

/* The client's, by its address and the machine's it speaks to; made where there is none. NULL: cannot be. */
static struct session *session_of(struct forward *forward, const struct session *wanted) {
  unsigned bucket = bucket_of(&wanted->client, wanted->client_size);
  for (struct session *s = forward->sessions[bucket]; s; s = s->next)
    if (s->client_size == wanted->client_size && !memcmp(&s->client, &wanted->client, s->client_size) &&
        !memcmp(&s->here, &wanted->here, sizeof s->here))
      return s;
  struct keeper *keeper = forward->source.keeper;
  if (forward->count >= MAX_SESSIONS || keeper->sessions >= keeper->max_sessions) make_room(forward);
  /* Other ports have all there are. */
  if (keeper->sessions >= keeper->max_sessions) return NULL;
  struct session *session = malloc(sizeof *session);
  if (!session) return NULL;
  *session = *wanted;
  session->forward = forward;
  session->source =
      (struct source){.fd = speak_as(&forward->target, SOCK_DGRAM, &wanted->client, true), .on = on_session};
  if (session->source.fd < 0 || source_add(keeper, &session->source, EPOLLIN) < 0) {
    source_end(&session->source);
    free(session);
    return NULL;
  }
  session->next = forward->sessions[bucket];
  forward->sessions[bucket] = session;
  forward->count++;
  keeper->sessions++;
  return session;
}

/* From clients to the container. */
static void on_forward(struct source *source, uint32_t events) {
  struct forward *forward = (struct forward *)source;
  (void)events;
  for (int i = 0; i < BATCH; i++) {
    struct session wanted = {0};
    union control control;
    struct iovec part = {buffer, sizeof buffer};
    struct msghdr message = {.msg_name = &wanted.client,
                             .msg_namelen = sizeof wanted.client,
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(source->fd, &message, MSG_DONTWAIT);
    if (n < 0 && errno == ECONNREFUSED) continue;
    if (n < 0) return;
    wanted.client_size = message.msg_namelen;
    read_here(&message, &wanted);
    struct session *session = session_of(forward, &wanted);
    if (!session) continue;
    session->last_ms = source->keeper->now_ms;
    if (send(session->source.fd, buffer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
      send(session->source.fd, buffer, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

bool datagram_start(struct forward *forward) {
  const int yes = 1;
  bool v6 = forward->target.address.ss_family == AF_INET6;
  forward->source.on = on_forward;
  forward->sessions = calloc(BUCKETS, sizeof *forward->sessions);
  return forward->sessions &&
         setsockopt(forward->source.fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO,
                    &yes, sizeof yes) == 0 &&
         source_add(forward->source.keeper, &forward->source, EPOLLIN) == 0;
}

void datagram_end_all(struct forward *forward) {
  end_before(forward, INT64_MAX);
  free(forward->sessions);
  forward->sessions = NULL;
}
