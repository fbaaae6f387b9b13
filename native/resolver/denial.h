/* What a container with an egress list was refused: told as events, at most some. */
#pragma once
#include "table.h"

/* Two a second, after a beginning of forty; the same thing every half minute. */
enum { DENIALS_SECOND = 2, DENIALS_BURST = 40, DENIAL_AGAIN_MS = 30000, DENIALS_KNOWN = 256 };

struct denials {
  int events;    /* a file that is appended to */
  uint64_t last; /* when there was room for another one */
  uint32_t room;
  struct {
    uint64_t what, until_ms;
  } known[DENIALS_KNOWN];
};

/* A packet as the packet filter tells of it. */
struct denied_packet {
  const char *container; /* not terminated */
  size_t container_len;
  struct address to;
  uint8_t protocol;
  uint16_t port;
};

/* Reads one message of nfnetlink_log. False: nothing of it is of use. */
bool denial_read(const uint8_t *message, size_t len, struct denied_packet *out);
void denial_packet(struct denials *d, const struct table *t, const struct denied_packet *p);
void denial_name(struct denials *d, const struct container *c, const uint8_t *name, size_t len);
