/* libFuzzer target: what the resolver parses. The first byte chooses: a table, a query against a table of
 * ours, or an answer against a query. */
#include <stdlib.h>
#include <string.h>

#include "denial.h"
#include "message.h"
#include "resolver.h"

static volatile size_t sink;

static void walk_table(const uint8_t *data, size_t size) {
  uint8_t *bytes = malloc(size + 16);
  /* Magic, version and size are made right, to get past them. */
  const uint32_t head[3] = {TABLE_MAGIC, TABLE_VERSION, (uint32_t)size + 12};
  memcpy(bytes, head, sizeof head);
  memcpy(bytes + 12, data, size);
  struct table *t = table_read(bytes, size + 12);
  if (!t) return;
  for (uint32_t i = 0; i < t->entry_count; i++) {
    const struct entry *e =
        table_find(t, t->entries[i].kind, t->entries[i].network, t->entries[i].key, t->entries[i].key_len);
    if (!e) abort();
    for (; e; e = table_next(e))
      sink += e->address.len + e->name_len;
  }
  table_free(t);
}

/* What fuzz.ts made of two containers. */
static const uint8_t table_bytes[] = {
#include "table.inc"
};

static struct table *small_table(void) {
  uint8_t *bytes = malloc(sizeof table_bytes);
  memcpy(bytes, table_bytes, sizeof table_bytes);
  struct table *t = table_read(bytes, sizeof table_bytes);
  if (!t) abort();
  return t;
}

static void ask(const uint8_t *data, size_t size) {
  static struct table *table;
  struct query q;
  if (!table) table = small_table();
  uint8_t *query = malloc(size), *out = malloc(MESSAGE_MAX);
  memcpy(query, data, size);
  int rcode = query_read(query, size, &q);
  if (rcode > 0) sink += answer_error(out, query, (enum rcode)rcode);
  if (rcode == RCODE_OK) {
    struct address address;
    size_t room = q.udp_bytes < UDP_EDNS ? q.udp_bytes : UDP_EDNS;
    uint8_t *small = malloc(room);
    size_t len = answer_local(table, &table->containers[0], 0, query, &q, small, room);
    if (len > room) abort();
    /* What we answer is an answer to that. */
    if (len && !reply_fits(small, len, query, size, q.id)) abort();
    struct found found[8];
    sink += query_address(&q, &address) + answer_addresses(small, len, found, 8);
    free(small);
  }
  free(query);
  free(out);
}

static void compare(const uint8_t *data, size_t size) {
  if (size < 3 || data[0] > size - 1) return;
  size_t query_len = data[0], len = size - 1 - query_len;
  uint8_t *query = malloc(query_len), *reply = malloc(len);
  struct query q;
  memcpy(query, data + 1, query_len);
  memcpy(reply, data + 1 + query_len, len);
  if (reply_fits(reply, len, query, query_len, (uint16_t)(data[1] << 8 | data[2]))) {
    if (query_read(query, query_len, &q) != RCODE_OK) abort();
    struct found found[8];
    sink += answer_addresses(reply, len, found, 8);
    sink += reply_cut(reply, len, q.question_end, 512);
  }
  free(query);
  free(reply);
}

static void read_denial(const uint8_t *data, size_t size) {
  struct denied_packet packet;
  uint8_t *message = malloc(size);
  memcpy(message, data, size);
  /* Its id may have no end. */
  if (denial_read(message, size, &packet) && packet.container_len > 0)
    sink += packet.to.len + packet.port + (unsigned char)packet.container[0];
  free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  if (data[0] % 4 == 0) walk_table(data + 1, size - 1);
  if (data[0] % 4 == 1) ask(data + 1, size - 1);
  if (data[0] % 4 == 2) compare(data + 1, size - 1);
  if (data[0] % 4 == 3) read_denial(data + 1, size - 1);
  return 0;
}
