/* Reads a Plan (docs/reference/plan.md): every length is checked before anything is acted on. */
#pragma once
#include "base.h"
#include "plan-ops.h"

#define OP_FIELDS 8
/* Ops from here on are steps of init. */
#define OP_FIRST_STEP 100

/* One decoded field. u32, i32 and u64 are in n; fd in fd (-1: none); str and blob in s and len; strv: n items
 * from s on. */
struct field {
  uint64_t n;
  const char *s;
  uint32_t len;
  int fd;
};

struct op {
  uint16_t code;
  uint32_t index;
  struct field f[OP_FIELDS];
};

struct plan {
  const uint8_t *bytes;
  uint32_t size;
  uint32_t nfds;
  int *fds;
  uint32_t mapped;
};

struct cursor {
  const struct plan *plan;
  uint32_t at;
  uint32_t index;
};

enum plan_kind { PLAN_FOR_MONITOR, PLAN_FOR_EXEC };

/* Loads and checks the Plan behind fd. fds is the table (borrowed). 0, or -1 with errno EINVAL, E2BIG or an
 * I/O error. */
int plan_load(struct plan *plan, int fd, int *fds, uint32_t nfds, enum plan_kind kind);
/* Checks bytes in memory that plan points to. bad gets the index of the offending op. */
int plan_check(const struct plan *plan, enum plan_kind kind, uint32_t *bad);
/* The number of descriptors the Plan behind fd says it needs, or -1. */
int plan_count_fds(int fd);
void plan_unload(struct plan *plan);

struct cursor plan_begin(const struct plan *plan);
/* 1: op filled; 0: end; -1: malformed (never after plan_check). */
int plan_next(struct cursor *cursor, struct op *op);
/* The first op with this code. */
bool plan_find(const struct plan *plan, uint16_t code, struct op *op);

/* The items of a strv field as a NULL-terminated array that points into the Plan; free() it. NULL: no memory.
 */
const char **strv_array(const struct field *field);
/* Steps to the next item; `at` starts at field->s. */
const char *strv_next(const char **at);
