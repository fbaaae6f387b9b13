/* DNS messages (RFC 1035, 6891): a question is read, an answer is built. Nothing here knows of sockets. */
#pragma once
#include "table.h"

#define HEADER_BYTES 12
#define NAME_BYTES 255
#define MESSAGE_MAX 65535
/* What a client takes over UDP that does not say (RFC 1035), and what we say that we take (RFC 9715). */
#define UDP_PLAIN 512
#define UDP_EDNS 1232

enum record_type { TYPE_A = 1, TYPE_PTR = 12, TYPE_AAAA = 28, TYPE_OPT = 41, TYPE_ANY = 255 };
enum rcode { RCODE_OK, RCODE_FORMAT, RCODE_FAILED, RCODE_NO_NAME, RCODE_UNKNOWN, RCODE_REFUSED };

struct query {
  uint16_t id, type, class;
  /* The name in lower case, labels with dots between them; not terminated. */
  uint8_t name[NAME_BYTES];
  uint8_t name_len;
  bool textual;        /* no label has a dot or a NUL in it */
  bool edns;           /* it has an OPT record */
  uint16_t udp_bytes;  /* so much the client takes by UDP */
  size_t question_end; /* bytes of header and question */
};

/* Reads a query. RCODE_OK; another one is what it is to be answered with; -1: not worth an answer. */
int query_read(const uint8_t *bytes, size_t len, struct query *q);
/* The address that a reverse name stands for; false: it is none. */
bool query_address(const struct query *q, struct address *out);
/* Whether `reply` answers that query under another id: its kind, its id, and the very same question. */
bool reply_fits(const uint8_t *reply, size_t len, const uint8_t *query, size_t query_len, uint16_t id);

/* An answer being built; what does not fit makes it a truncated one. */
struct answer {
  uint8_t *bytes;
  size_t len, room;
  uint16_t count;
  bool truncated;
};

/* Header and question of the query that was read; `room` at least HEADER_BYTES + NAME_BYTES + 32. */
void answer_begin(struct answer *a, uint8_t *bytes, size_t room, const uint8_t *query, const struct query *q);
void answer_address(struct answer *a, const struct address *address);
void answer_name(struct answer *a, const char *name, size_t len);
/* Completes it; bytes. */
size_t answer_end(struct answer *a, enum rcode rcode, const struct query *q);
/* A bare answer to what could not be read: header alone. */
size_t answer_error(uint8_t *bytes, const uint8_t *query, enum rcode rcode);
/* Cuts what is too long for a UDP client down to its question, marked as truncated; bytes. */
size_t reply_cut(uint8_t *reply, size_t len, size_t question_end, size_t max);

/* An address in an answer, and how long it is good. */
struct found {
  struct address address;
  uint32_t seconds;
};
/* The addresses in the answer section; how many of them there was room for. */
uint32_t answer_addresses(const uint8_t *bytes, size_t len, struct found *out, uint32_t max);

/* What containers are called: answers it, or returns 0 where that is for others to say. `network` is where
 * it was asked. */
size_t answer_local(const struct table *t, const struct container *c, uint32_t network, const uint8_t *query,
                    const struct query *q, uint8_t *out, size_t room);
