/* The resolver of containers' names: answers on the gateways of their networks, relays what it does not know.
 * One epoll loop, no thread, no file but its table, no rights but to listen on port 53. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

#include "admit.h"
#include "common/clock.h"
#include "denial.h"
#include "message.h"

#define DNS_PORT 53

/* What the starter gave us. */
enum { FD_LIFE = 3, FD_DIR, FD_CONTROL, FD_NETNS, FD_EVENTS, FD_CGROUPS };

enum source_kind {
  SOURCE_CONTROL,
  SOURCE_WATCH,
  SOURCE_DENIED,
  SOURCE_DATAGRAMS,
  SOURCE_ACCEPT,
  SOURCE_STREAM,
  SOURCE_RELAY
};

/* A descriptor in the epoll set; -1: closed. Its owner is freed after the events that came together. */
struct source {
  int fd;
  enum source_kind kind;
  void *owner;
};

/* Things that have to be over some time after they began, all of a list after the same time: oldest first. */
struct timed {
  struct timed *next, *previous;
  int64_t until_ms;
  void *owner;
};
struct timed_list {
  struct timed *first, *last;
  int64_t after_ms;
};

/* One gateway: where containers of a network ask. */
struct listener {
  struct listener *next;
  char bridge[LINK_NAME_MAX + 1];
  int link; /* its index: another bridge may get the name */
  struct address address;
  uint32_t network;
  bool wanted;
  int error; /* why nobody can ask here */
  struct source datagrams, streams;
};

/* A client over TCP: as many questions as it likes, one after the other or at once. */
struct stream {
  struct stream *next, *previous;
  struct source source;
  struct timed idle;
  struct listener *listener;
  struct address peer;
  uint8_t *in, *out;
  uint32_t in_len, in_room, out_len, out_room, pending;
  bool ended; /* asks no more; gets what is still to come */
  bool busy;  /* its questions are being looked at */
};

/* Whom an answer goes to. */
struct asker {
  struct listener *listener;
  struct stream *stream; /* NULL: by UDP */
  struct sockaddr_storage to;
  struct address peer;
};

#define TRIES_MAX 3

/* A question that others are asked. */
struct relay {
  struct relay *next, *previous;
  struct source source;
  struct timed limit;
  struct asker asker;
  struct address tries[TRIES_MAX];
  uint8_t tries_count, tried;
  uint16_t id, udp_bytes, question_end, query_len;
  uint16_t counted; /* where in `asking` */
  bool over;
  uint8_t *in, *last; /* by TCP: what came so far; an answer that is none, should nobody know better */
  uint32_t in_len, in_room, last_len, written;
  uint8_t query[];
};

#define ASKERS 1024
#define SICK_SERVERS 64

struct resolver {
  int epoll, keeper;
  struct source control, watch, denied;
  struct denials denials;
  struct table *table;
  struct listener *listeners;
  struct stream *streams;
  struct relay *relays;
  struct timed_list idle, limits;
  uint32_t stream_count, relay_count, relays_max;
  bool settled;            /* the sockets of the first table are open */
  uint16_t asking[ASKERS]; /* by a hash of who asks */
  struct {
    struct address server;
    int64_t until_ms;
  } sick[SICK_SERVERS];
  void *graves;
};

/* main.c */
/* Ends all of the resolver: there is nobody to be answered, or a newer one is to do it. */
enum { EXIT_DONE = 0, EXIT_AGAIN = 1 };
/* `denied`: where the packet filter tells of packets, or -1. */
_Noreturn void worker_main(int keeper, int denied, uint32_t relays);

/* confine.c: everything but what the worker does becomes impossible. 0 or -1. */
int confine_keeper(void);
int confine_worker(void);

/* egress.c */
/* Whether a container with a list may ask others for that name. */
bool egress_asks(const struct container *c, const struct query *q);
/* Lets it reach the addresses in an answer, if the name is on its list. False: they could not be told. */
bool egress_admit(const struct resolver *r, const struct container *c, const struct query *q,
                  const uint8_t *answer, size_t len);

/* worker.c */
int source_add(struct resolver *r, struct source *s, uint32_t events);
void source_events(struct resolver *r, struct source *s, uint32_t events);
void source_close(struct source *s);
/* Frees something when no event of it can be waiting. Its first member is a pointer that nobody needs now. */
void bury(struct resolver *r, void *dead);
/* Makes a buffer at least as large as `need`. */
bool buffer_grow(uint8_t **bytes, uint32_t *room, uint32_t need);
void timed_begin(struct timed_list *list, struct timed *t, void *owner);
void timed_end(struct timed_list *list, struct timed *t);
/* One that did not end; NULL: none is over. */
void *timed_over(const struct timed_list *list, int64_t now);
/* The container that asks; NULL: none that may. */
const struct container *asking_container(const struct resolver *r, const struct asker *from);
/* Answers a question, or has it relayed; false: it is not worth an answer. */
bool question(struct resolver *r, const struct asker *from, const uint8_t *bytes, size_t len);
void reply(struct resolver *r, const struct asker *to, uint8_t *bytes, size_t len);
struct address address_of(const struct sockaddr_storage *from);
socklen_t sockaddr_of(const struct address *a, struct sockaddr_storage *out);

/* listen.c */
/* Listens where the table says, and nowhere else. Sockets that are wanted again stay as they are. */
void listeners_settle(struct resolver *r);
void listener_read(struct resolver *r, struct listener *l);

/* stream.c */
void stream_accept(struct resolver *r, struct listener *l);
void stream_event(struct resolver *r, struct stream *s, uint32_t events);
void stream_send(struct resolver *r, struct stream *s, const uint8_t *bytes, size_t len);
/* A question of it was answered, or will not be. */
void stream_settle(struct resolver *r, struct stream *s);
void stream_drop(struct resolver *r, struct stream *s);

/* relay.c */
/* As many as the descriptors allow, whoever asks. */
uint32_t relays_max(void);
void relay_begin(struct resolver *r, const struct asker *from, const struct container *c,
                 const uint8_t *bytes, size_t len, const struct query *q);
void relay_event(struct resolver *r, struct relay *y, uint32_t events);
/* Nobody answered in time: asks the next one. */
void relay_late(struct resolver *r, struct relay *y);
/* Whoever asked is gone. */
void relay_forget(struct resolver *r, const struct listener *l, const struct stream *s);
