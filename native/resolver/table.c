#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is left to be read; ok turns false at the first field that does not fit. */
struct reader {
  const uint8_t *at, *end;
  bool ok;
};

static const uint8_t *take(struct reader *r, size_t len) {
  if (!r->ok || (size_t)(r->end - r->at) < len) {
    r->ok = false;
    return NULL;
  }
  const uint8_t *bytes = r->at;
  r->at += len;
  return bytes;
}

static uint32_t take_number(struct reader *r, size_t len) {
  const uint8_t *bytes = take(r, len);
  uint32_t n = 0;
  for (size_t i = 0; bytes && i < len; i++)
    n |= (uint32_t)bytes[i] << 8 * i;
  return n;
}

static const uint8_t *take_string(struct reader *r, uint8_t *len) {
  *len = (uint8_t)take_number(r, 1);
  return take(r, *len);
}

static struct address take_address(struct reader *r) {
  struct address a = {.len = (uint8_t)take_number(r, 1)};
  if (a.len != 4 && a.len != 16) r->ok = false;
  const uint8_t *bytes = take(r, a.len);
  if (bytes)
    memcpy(a.bytes, bytes, a.len);
  else
    a.len = 0;
  return a;
}

static struct servers take_servers(struct reader *r) {
  struct servers s = {.count = (uint8_t)take_number(r, 1)};
  if (s.count > SERVERS_MAX) {
    r->ok = false;
    s.count = 0;
  }
  for (uint8_t i = 0; i < s.count; i++)
    s.list[i] = take_address(r);
  return s;
}

bool address_equal(const struct address *a, const struct address *b) {
  return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

bool address_within(const struct address *a, const struct address *of, uint8_t prefix) {
  if (a->len == 0 || a->len != of->len || prefix > a->len * 8) return false;
  uint8_t whole = prefix / 8, rest = prefix % 8;
  if (memcmp(a->bytes, of->bytes, whole) != 0) return false;
  return rest == 0 || (a->bytes[whole] ^ of->bytes[whole]) >> (8 - rest) == 0;
}

static uint32_t hash(enum entry_kind kind, uint32_t network, const uint8_t *key, size_t len) {
  uint32_t h = 0x811c9dc5u ^ (network * 2 + (uint32_t)kind);
  for (size_t i = 0; i < len; i++)
    h = (h ^ key[i]) * 0x01000193u;
  return h ^ h >> 15;
}

static bool is_key(const struct entry *e, enum entry_kind kind, uint32_t network, const uint8_t *key,
                   size_t len) {
  return e->kind == kind && e->network == network && e->key_len == len && memcmp(e->key, key, len) == 0;
}

const struct entry *table_find(const struct table *t, enum entry_kind kind, uint32_t network,
                               const uint8_t *key, size_t len) {
  if (t->bucket_count == 0 || len > 255) return NULL;
  const struct entry *e = t->buckets[hash(kind, network, key, len) & (t->bucket_count - 1)];
  while (e && !is_key(e, kind, network, key, len))
    e = e->next;
  return e;
}

const struct entry *table_next(const struct entry *e) {
  const struct entry *next = e->next;
  while (next && !is_key(next, e->kind, e->network, e->key, e->key_len))
    next = next->next;
  return next;
}

static bool grow(void **list, uint32_t count, size_t size) {
  /* To the next power of two. */
  if (count & (count - 1)) return true;
  void *more = realloc(*list, (count ? (size_t)count * 2 : 1) * size);
  if (more) *list = more;
  return more != NULL;
}

static int64_t network_of(struct table *t, const uint8_t *bridge, uint8_t len) {
  for (uint32_t i = 0; i < t->network_count; i++)
    if (strlen(t->networks[i].bridge) == len && memcmp(t->networks[i].bridge, bridge, len) == 0) return i;
  if (!grow((void **)&t->networks, t->network_count, sizeof *t->networks)) return -1;
  struct network *n = &t->networks[t->network_count];
  memset(n, 0, sizeof *n);
  memcpy(n->bridge, bridge, len);
  return t->network_count++;
}

static bool add(struct table *t, struct entry e) {
  if (!grow((void **)&t->entries, t->entry_count, sizeof *t->entries)) return false;
  t->entries[t->entry_count++] = e;
  return true;
}

enum { PLACE_ADDRESSES = 2 };

/* One network of a container, with its addresses and names there. */
static bool read_place(struct table *t, struct reader *r, struct container *c, uint32_t which) {
  uint8_t len, addresses;
  struct entry own[PLACE_ADDRESSES] = {0};
  const uint8_t *bridge = take_string(r, &len);
  bool named = take_number(r, 1) & 1;
  addresses = (uint8_t)take_number(r, 1);
  if (!r->ok || len == 0 || len > LINK_NAME_MAX || memchr(bridge, 0, len) || addresses > PLACE_ADDRESSES)
    return false;
  int64_t network = network_of(t, bridge, len);
  if (network < 0) return false;
  for (uint8_t i = 0; i < addresses; i++) {
    struct address address = take_address(r), gateway = take_address(r);
    uint8_t prefix = (uint8_t)take_number(r, 1);
    if (!r->ok || gateway.len != address.len || prefix > address.len * 8) return false;
    t->networks[network].gateways[address.len == 16] = (struct gateway){gateway, prefix};
    own[i] = (struct entry){
        .kind = ENTRY_ADDRESS, .network = (uint32_t)network, .container = which, .address = address};
  }
  uint32_t names = take_number(r, 2);
  for (uint32_t i = 0; i < names; i++) {
    uint8_t name_len;
    const uint8_t *name = take_string(r, &name_len);
    if (!r->ok) return false;
    for (uint8_t a = 0; a < addresses; a++) {
      struct entry e = own[a];
      if (i == 0) own[a].name = (const char *)name, own[a].name_len = name_len;
      e.kind = ENTRY_NAME;
      e.key = name;
      e.key_len = name_len;
      if (!add(t, e)) return false;
    }
  }
  for (uint8_t i = 0; i < addresses; i++) {
    if (!add(t, own[i]) || !grow((void **)&c->own, c->own_count, sizeof *c->own)) return false;
    c->own[c->own_count++] = own[i].address;
  }
  if (!grow((void **)&c->places, c->place_count, sizeof *c->places)) return false;
  c->places[c->place_count++] = (struct place){(uint32_t)network, named};
  return true;
}

enum { RELAYS = 1, OWN_SERVERS = 2, LIMITED = 4, BELOW = 1 };

static bool read_domains(struct reader *r, struct container *c) {
  uint32_t count = take_number(r, 2);
  for (uint32_t i = 0; r->ok && i < count; i++) {
    if (!grow((void **)&c->domains, c->domain_count, sizeof *c->domains)) return false;
    struct domain *d = &c->domains[c->domain_count++];
    d->below = take_number(r, 1) & BELOW;
    d->port = (uint16_t)take_number(r, 2);
    d->name = take_string(r, &d->name_len);
  }
  c->actor_len = (uint16_t)take_number(r, 2);
  c->actor = (const char *)take(r, c->actor_len);
  return r->ok;
}

static bool read_container(struct table *t, struct reader *all, const struct servers *machine) {
  uint32_t size = take_number(all, 4);
  const uint8_t *bytes = take(all, size);
  if (!bytes || !grow((void **)&t->containers, t->container_count, sizeof *t->containers)) return false;
  struct reader r = {bytes, bytes + size, true};
  uint32_t which = t->container_count++;
  struct container *c = &t->containers[which];
  memset(c, 0, sizeof *c);
  c->id = (const char *)take_string(&r, &c->id_len);
  uint32_t flags = take_number(&r, 1);
  c->relays = flags & RELAYS;
  c->servers = flags & OWN_SERVERS ? take_servers(&r) : *machine;
  c->limited = flags & LIMITED;
  if (c->limited && !read_domains(&r, c)) return false;
  uint32_t places = take_number(&r, 2);
  for (uint32_t i = 0; r.ok && i < places; i++)
    if (!read_place(t, &r, c, which)) return false;
  return r.ok && r.at == r.end;
}

/* Entries are where they stay now: those of addresses get their keys, all their places. */
static bool make_index(struct table *t) {
  uint32_t count = 16;
  while (count < t->entry_count)
    count *= 2;
  t->buckets = calloc(count, sizeof(struct entry *));
  if (!t->buckets) return false;
  t->bucket_count = count;
  /* From the end, so that what came first is found first. */
  for (uint32_t i = t->entry_count; i-- > 0;) {
    struct entry *e = &t->entries[i];
    if (e->kind == ENTRY_ADDRESS) {
      e->key = e->address.bytes;
      e->key_len = e->address.len;
    }
    struct entry **bucket = &t->buckets[hash(e->kind, e->network, e->key, e->key_len) & (count - 1)];
    e->next = *bucket;
    *bucket = e;
  }
  return true;
}

struct table *table_read(uint8_t *bytes, size_t size) {
  struct reader r = {bytes, bytes + size, true};
  struct table *t = calloc(1, sizeof *t);
  if (!t) {
    free(bytes);
    errno = ENOMEM;
    return NULL;
  }
  t->bytes = bytes;
  uint32_t magic = take_number(&r, 4), version = take_number(&r, 4);
  uint32_t whole = take_number(&r, 4), containers = take_number(&r, 4);
  errno = EINVAL;
  bool good = r.ok && magic == TABLE_MAGIC;
  if (good && version != TABLE_VERSION) {
    good = false;
    errno = EPROTO;
  }
  good = good && whole == size;
  struct servers machine = {0};
  if (good) machine = take_servers(&r);
  for (uint32_t i = 0; good && i < containers; i++)
    good = read_container(t, &r, &machine);
  good = good && r.ok && r.at == r.end && make_index(t);
  if (good) return t;
  table_free(t);
  return NULL;
}

void table_free(struct table *t) {
  int saved = errno;
  for (uint32_t i = 0; i < t->container_count; i++) {
    free(t->containers[i].domains);
    free(t->containers[i].places);
    free(t->containers[i].own);
  }
  free(t->containers);
  free(t->networks);
  free(t->entries);
  free(t->buckets);
  free(t->bytes);
  free(t);
  errno = saved;
}
