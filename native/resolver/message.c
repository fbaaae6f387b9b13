#include "message.h"

#include <string.h>

enum { FLAG_REPLY = 0x80, FLAG_AUTHORITATIVE = 4, FLAG_TRUNCATED = 2, FLAG_RECURSE = 1 };
enum { FLAG_CAN_RECURSE = 0x80, FLAG_UNCHECKED = 0x10 };
enum { CLASS_IN = 1, CLASS_ANY = 255, LABEL_MAX = 63, POINTER = 0xc0, OPT_BYTES = 11, RECORD_BYTES = 10 };
/* Whoever asks gets what holds now: containers come and go. */
enum { TTL = 0 };

static uint16_t get16(const uint8_t *at) {
  return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(uint8_t *at, uint16_t n) {
  at[0] = (uint8_t)(n >> 8);
  at[1] = (uint8_t)n;
}

static uint8_t lower(uint8_t c) {
  return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* The end of a name of a record; 0: it does not fit. Where a pointer leads does not matter. */
static size_t skip_name(const uint8_t *bytes, size_t len, size_t at) {
  while (at < len) {
    uint8_t label = bytes[at];
    if ((label & POINTER) == POINTER) return at + 2 <= len ? at + 2 : 0;
    if (label > LABEL_MAX) return 0;
    at += 1u + label;
    if (label == 0) return at;
  }
  return 0;
}

/* The name of the question, which nothing is in front of that it could point to. */
static size_t read_name(const uint8_t *bytes, size_t len, struct query *q) {
  size_t at = HEADER_BYTES;
  q->name_len = 0;
  q->textual = true;
  for (;;) {
    if (at >= len) return 0;
    uint8_t label = bytes[at++];
    if (label == 0) return at - HEADER_BYTES <= NAME_BYTES ? at : 0;
    if (label > LABEL_MAX || label > len - at || q->name_len + 1u + label > NAME_BYTES - 1) return 0;
    if (q->name_len) q->name[q->name_len++] = '.';
    for (uint8_t i = 0; i < label; i++, at++) {
      if (bytes[at] == '.' || bytes[at] == 0) q->textual = false;
      q->name[q->name_len++] = lower(bytes[at]);
    }
  }
}

static bool read_additional(const uint8_t *bytes, size_t len, struct query *q) {
  size_t at = q->question_end;
  for (uint16_t left = get16(bytes + 10); left > 0; left--) {
    size_t end = skip_name(bytes, len, at);
    if (end == 0 || len - end < RECORD_BYTES) return false;
    uint16_t data = get16(bytes + end + 8);
    if (get16(bytes + end) == TYPE_OPT) {
      if (q->edns) return false;
      q->edns = true;
      q->udp_bytes = get16(bytes + end + 2);
      if (q->udp_bytes < UDP_PLAIN) q->udp_bytes = UDP_PLAIN;
    }
    if (len - end - RECORD_BYTES < data) return false;
    at = end + RECORD_BYTES + data;
  }
  return true;
}

int query_read(const uint8_t *bytes, size_t len, struct query *q) {
  memset(q, 0, sizeof *q);
  q->udp_bytes = UDP_PLAIN;
  if (len < HEADER_BYTES || bytes[2] & FLAG_REPLY) return -1;
  q->id = get16(bytes);
  if (bytes[2] >> 3 & 15) return RCODE_UNKNOWN;
  if (get16(bytes + 4) != 1) return RCODE_FORMAT;
  size_t end = read_name(bytes, len, q);
  if (end == 0 || len - end < 4) return RCODE_FORMAT;
  q->type = get16(bytes + end);
  q->class = get16(bytes + end + 2);
  q->question_end = end + 4;
  /* Records in a query are of no use; an update or a notification is none. */
  if (get16(bytes + 6) || get16(bytes + 8)) return RCODE_FORMAT;
  return read_additional(bytes, len, q) ? RCODE_OK : RCODE_FORMAT;
}

static bool ends_with(const struct query *q, const char *end, size_t *rest) {
  size_t len = strlen(end);
  if (q->name_len <= len || memcmp(q->name + q->name_len - len, end, len) != 0) return false;
  *rest = q->name_len - len;
  return true;
}

bool query_address(const struct query *q, struct address *out) {
  size_t len;
  memset(out, 0, sizeof *out);
  if (!q->textual) return false;
  if (ends_with(q, ".in-addr.arpa", &len)) {
    uint32_t number = 0, digits = 0, parts = 0;
    for (size_t i = 0; i <= len; i++) {
      if (i < len && q->name[i] >= '0' && q->name[i] <= '9' && digits < 3) {
        number = number * 10 + (uint32_t)(q->name[i] - '0');
        digits++;
        continue;
      }
      if ((i < len && q->name[i] != '.') || digits == 0 || number > 255 || parts == 4) return false;
      out->bytes[3 - parts++] = (uint8_t)number;
      number = digits = 0;
    }
    out->len = 4;
    return parts == 4;
  }
  if (!ends_with(q, ".ip6.arpa", &len) || len != 63) return false;
  for (size_t i = 0; i < 32; i++) {
    uint8_t c = q->name[i * 2];
    bool digit = c >= '0' && c <= '9';
    if (!(digit || (c >= 'a' && c <= 'f')) || (i < 31 && q->name[i * 2 + 1] != '.')) return false;
    uint8_t value = (uint8_t)(digit ? c - '0' : c - 'a' + 10);
    out->bytes[15 - i / 2] |= (uint8_t)(i & 1 ? value << 4 : value);
  }
  out->len = 16;
  return true;
}

bool reply_fits(const uint8_t *reply, size_t len, const uint8_t *query, size_t query_len, uint16_t id) {
  struct query q;
  if (query_read(query, query_len, &q) != RCODE_OK || len < q.question_end) return false;
  if (get16(reply) != id || !(reply[2] & FLAG_REPLY) || reply[2] >> 3 & 15 || get16(reply + 4) != 1)
    return false;
  for (size_t i = HEADER_BYTES; i < q.question_end; i++)
    if (lower(reply[i]) != lower(query[i])) return false;
  return true;
}

void answer_begin(struct answer *a, uint8_t *bytes, size_t room, const uint8_t *query,
                  const struct query *q) {
  *a = (struct answer){.bytes = bytes, .len = q->question_end, .room = room - OPT_BYTES};
  memcpy(bytes, query, q->question_end);
}

static uint8_t *add_record(struct answer *a, uint16_t type, size_t data) {
  size_t len = 2 + RECORD_BYTES + data;
  if (a->truncated || a->room - a->len < len) {
    a->truncated = true;
    return NULL;
  }
  uint8_t *at = a->bytes + a->len;
  put16(at, POINTER << 8 | HEADER_BYTES);
  put16(at + 2, type);
  put16(at + 4, CLASS_IN);
  put16(at + 6, 0);
  put16(at + 8, TTL);
  put16(at + 10, (uint16_t)data);
  a->len += len;
  a->count++;
  return at + 12;
}

void answer_address(struct answer *a, const struct address *address) {
  uint8_t *at = add_record(a, address->len == 4 ? TYPE_A : TYPE_AAAA, address->len);
  if (at) memcpy(at, address->bytes, address->len);
}

void answer_name(struct answer *a, const char *name, size_t len) {
  uint8_t wire[NAME_BYTES + 1];
  size_t at = 0, label = 0;
  if (len == 0 || len > NAME_BYTES - 2) return;
  for (size_t i = 0; i <= len; i++) {
    if (i < len && name[i] != '.') {
      wire[at + 1 + label++] = (uint8_t)name[i];
      if (label > LABEL_MAX) return;
      continue;
    }
    if (label == 0) return;
    wire[at] = (uint8_t)label;
    at += 1 + label;
    label = 0;
  }
  wire[at++] = 0;
  uint8_t *data = add_record(a, TYPE_PTR, at);
  if (data) memcpy(data, wire, at);
}

static void finish_header(uint8_t *bytes, const uint8_t flags[2], bool truncated, enum rcode rcode) {
  bytes[2] = (uint8_t)(FLAG_REPLY | (flags[0] & FLAG_RECURSE) |
                       (rcode == RCODE_REFUSED || rcode == RCODE_FAILED ? 0 : FLAG_AUTHORITATIVE) |
                       (truncated ? FLAG_TRUNCATED : 0));
  bytes[3] = (uint8_t)(FLAG_CAN_RECURSE | (flags[1] & FLAG_UNCHECKED) | (uint8_t)rcode);
}

size_t answer_end(struct answer *a, enum rcode rcode, const struct query *q) {
  uint8_t flags[2] = {a->bytes[2], a->bytes[3]};
  finish_header(a->bytes, flags, a->truncated, rcode);
  put16(a->bytes + 4, 1);
  put16(a->bytes + 6, a->count);
  put16(a->bytes + 8, 0);
  put16(a->bytes + 10, q->edns);
  if (q->edns) {
    uint8_t *at = a->bytes + a->len;
    memset(at, 0, OPT_BYTES);
    put16(at + 1, TYPE_OPT);
    put16(at + 3, UDP_EDNS);
    a->len += OPT_BYTES;
  }
  return a->len;
}

size_t answer_error(uint8_t *bytes, const uint8_t *query, enum rcode rcode) {
  memset(bytes, 0, HEADER_BYTES);
  memcpy(bytes, query, 2);
  bytes[2] = (uint8_t)(FLAG_REPLY | (query[2] & (0x78 | FLAG_RECURSE)));
  bytes[3] = (uint8_t)(FLAG_CAN_RECURSE | (uint8_t)rcode);
  return HEADER_BYTES;
}

size_t reply_cut(uint8_t *reply, size_t len, size_t question_end, size_t max) {
  if (len <= max) return len;
  reply[2] |= FLAG_TRUNCATED;
  memset(reply + 6, 0, 6);
  return question_end;
}

uint32_t answer_addresses(const uint8_t *bytes, size_t len, struct found *out, uint32_t max) {
  uint32_t count = 0;
  if (len < HEADER_BYTES) return 0;
  size_t at = HEADER_BYTES;
  for (uint16_t left = get16(bytes + 4); left > 0; left--) {
    at = skip_name(bytes, len, at);
    if (at == 0 || len - at < 4) return 0;
    at += 4;
  }
  for (uint16_t left = get16(bytes + 6); left > 0 && count < max; left--) {
    at = skip_name(bytes, len, at);
    if (at == 0 || len - at < RECORD_BYTES) break;
    uint16_t type = get16(bytes + at), class = get16(bytes + at + 2), data = get16(bytes + at + 8);
    uint32_t seconds = (uint32_t)get16(bytes + at + 4) << 16 | get16(bytes + at + 6);
    at += RECORD_BYTES;
    if (len - at < data) break;
    if (class == CLASS_IN && ((type == TYPE_A && data == 4) || (type == TYPE_AAAA && data == 16))) {
      out[count] = (struct found){.address.len = (uint8_t)data, .seconds = seconds};
      memcpy(out[count++].address.bytes, bytes + at, data);
    }
    at += data;
  }
  return count;
}

/* Where a name is found: the network it was asked in comes first, then the container's others. */
static const struct entry *find_name(const struct table *t, const struct container *c, uint32_t network,
                                     const struct query *q) {
  const struct entry *found = NULL;
  for (uint32_t i = 0; i < c->place_count; i++)
    if (c->places[i].network == network && c->places[i].named)
      found = table_find(t, ENTRY_NAME, network, q->name, q->name_len);
  for (uint32_t i = 0; !found && i < c->place_count; i++)
    if (c->places[i].named) found = table_find(t, ENTRY_NAME, c->places[i].network, q->name, q->name_len);
  return found;
}

static bool wants(const struct query *q, const struct entry *e) {
  return q->type == TYPE_ANY || q->type == (e->address.len == 4 ? TYPE_A : TYPE_AAAA);
}

/* All addresses of a name, each time beginning with another one. */
static void add_addresses(struct answer *a, const struct query *q, const struct entry *first) {
  uint32_t count = 0, skip;
  for (const struct entry *e = first; e; e = table_next(e))
    count += wants(q, e);
  if (count == 0) return;
  skip = q->id % count;
  for (int round = 0; round < 2; round++) {
    uint32_t at = 0;
    for (const struct entry *e = first; e; e = table_next(e))
      if (wants(q, e) && (at++ >= skip) == (round == 0)) answer_address(a, &e->address);
  }
}

size_t answer_local(const struct table *t, const struct container *c, uint32_t network, const uint8_t *query,
                    const struct query *q, uint8_t *out, size_t room) {
  struct answer a;
  struct address address;
  if (!q->textual || (q->class != CLASS_IN && q->class != CLASS_ANY)) return 0;
  answer_begin(&a, out, room, query, q);
  if (query_address(q, &address)) {
    bool ours = false;
    for (uint32_t i = 0; i < c->place_count; i++) {
      if (!c->places[i].named) continue;
      const struct network *n = &t->networks[c->places[i].network];
      const struct gateway *g = &n->gateways[address.len == 16];
      if (!address_within(&address, &g->address, g->prefix)) continue;
      ours = true;
      const struct entry *e = table_find(t, ENTRY_ADDRESS, c->places[i].network, address.bytes, address.len);
      if (!e || !e->name) continue;
      if (q->type == TYPE_PTR || q->type == TYPE_ANY) answer_name(&a, e->name, e->name_len);
      return answer_end(&a, RCODE_OK, q);
    }
    return ours ? answer_end(&a, RCODE_NO_NAME, q) : 0;
  }
  const struct entry *first = find_name(t, c, network, q);
  if (!first) return 0;
  add_addresses(&a, q, first);
  return answer_end(&a, RCODE_OK, q);
}
