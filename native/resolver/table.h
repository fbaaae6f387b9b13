/* The names that containers have, as TypeScript wrote them down (src/network/name-table.ts), and the ways to
 * find them. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_MAGIC 0x4e524154u /* "TARN" */
#define TABLE_VERSION 2u
#define TABLE_MAX_BYTES (64u * 1024 * 1024)
#define SERVERS_MAX 3
#define LINK_NAME_MAX 15

/* 4 or 16 bytes; none: len 0. */
struct address {
  uint8_t len;
  uint8_t bytes[16];
};

struct servers {
  uint8_t count;
  struct address list[SERVERS_MAX];
};

/* A container's place in a network: whom it asks there. */
struct place {
  uint32_t network;
  bool named;
};

/* A name that a container may ask others for, and reach by a port; 0: by any. */
struct domain {
  const uint8_t *name;
  uint8_t name_len;
  bool below; /* not itself, but all names that end so */
  uint16_t port;
};

struct container {
  const char *id;
  uint8_t id_len;
  bool relays;       /* what we do not know is asked of others */
  bool limited;      /* but only for these names */
  const char *actor; /* what events say of it; not terminated */
  uint16_t actor_len;
  struct servers servers;
  struct domain *domains;
  struct place *places;
  struct address *own;
  uint32_t domain_count, place_count, own_count;
};

struct gateway {
  struct address address;
  uint8_t prefix;
};

/* A bridge on which somebody lives. */
struct network {
  char bridge[LINK_NAME_MAX + 1];
  struct gateway gateways[2]; /* of IPv4 and of IPv6 */
};

enum entry_kind { ENTRY_NAME, ENTRY_ADDRESS };

/* One name of one address, or one address: both are found by (network, key). */
struct entry {
  struct entry *next;
  enum entry_kind kind;
  uint32_t network, container;
  const uint8_t *key;
  uint8_t key_len;
  struct address address;
  const char *name; /* of an address: what its container is called; may be NULL */
  uint8_t name_len;
};

struct table {
  uint8_t *bytes;
  struct container *containers;
  struct network *networks;
  struct entry *entries, **buckets;
  uint32_t container_count, network_count, entry_count, bucket_count;
};

/* Takes the bytes, which came from malloc. NULL with errno: ENOMEM, EINVAL for what is no table, EPROTO for
 * one of another Tare; the bytes are freed then. */
struct table *table_read(uint8_t *bytes, size_t size);
void table_free(struct table *t);

bool address_equal(const struct address *a, const struct address *b);
/* Whether the first `prefix` bits are the same. */
bool address_within(const struct address *a, const struct address *of, uint8_t prefix);

/* The first entry with that key; NULL: none. */
const struct entry *table_find(const struct table *t, enum entry_kind kind, uint32_t network,
                               const uint8_t *key, size_t len);
/* The next one of the same key. */
const struct entry *table_next(const struct entry *e);
