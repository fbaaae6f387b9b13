/*
 * What keeps the networks of a user: the keeper is in their shared network namespace, which is there as long
 * as it is used, and forwards the machine's ports into it. It listens to nobody but that user's commands: the
 * sockets it forwards are made by them, outside.
 */
#pragma once
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/scoped-fd.h"

struct keeper;

/* Something the keeper waits for. It is the first member of what it belongs to. */
struct source {
  struct keeper *keeper;
  int fd; /* less than 0: it has ended */
  void (*on)(struct source *, uint32_t events);
};

int source_add(struct keeper *keeper, struct source *source, uint32_t events);
void source_want(struct source *source, uint32_t events);
/* Closes its descriptor; nothing happens the second time. Its memory is to be kept until `later_free`. */
void source_end(struct source *source);
/* Frees memory when nobody speaks of it any more: events of this round may. */
void later_free(struct keeper *keeper, void *memory);

/* Where a port leads: an address of a container. */
struct target {
  struct sockaddr_storage address;
  socklen_t size;
  /* Containers see the client's own address: the answers find the way back (src/network/return-way.ts). */
  bool transparent;
};

/* One port of the machine. */
struct forward {
  struct source source;
  struct target target;
  struct forward *next;
  struct stream *streams;
  struct session **sessions; /* of datagrams, by the hash of the client's address */
  unsigned count;
};

/* A socket in our namespace that speaks to the target with the client's address, where that can be.
 * Non-blocking; -1 with errno. */
int speak_as(const struct target *target, int type, const struct sockaddr_storage *client, bool with_port);

bool stream_start(struct forward *forward);
void stream_end_all(struct forward *forward);
/* Goes on with those that had more to move than their share. */
void stream_go_on(struct keeper *keeper);

bool datagram_start(struct forward *forward);
void datagram_end_all(struct forward *forward);
/* Ends what nobody has used for a while. */
void datagram_expire(struct forward *forward, int64_t now_ms);

struct keeper {
  int epoll, netns;
  struct client *clients;
  struct stream *busy; /* streams that had more to move than their share */
  void **garbage;
  unsigned garbage_count, garbage_room;
  unsigned streams, max_streams;
  unsigned sessions, max_sessions;
  bool accepts;
  int spare_pipes[64][2];
  unsigned spare_count;
  int64_t now_ms, expired_ms, idle_since_ms;
};

/* Every forwarded port listens again, or none does: there are as many streams as can be. It is tried again
 * when one ends, and after a while. */
void keeper_accepts(struct keeper *keeper, bool accepts);

_Noreturn void keeper_main(void);
_Noreturn void tie_main(void);
