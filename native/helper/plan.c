#include "plan.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "plan-layout.h"

#define HEADER_BYTES 16
#define OP_HEADER_BYTES 8

static const char *layout_of(uint16_t code) {
#define CASE(op, fields)                                                                                     \
  case op:                                                                                                   \
    return fields;
  switch (code) { PLAN_LAYOUTS(CASE) }
#undef CASE
  return NULL;
}

static uint32_t le32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

struct reader {
  const uint8_t *at;
  const uint8_t *end;
};

static bool take_u32(struct reader *r, uint32_t *out) {
  if (r->end - r->at < 4) return false;
  *out = le32(r->at);
  r->at += 4;
  return true;
}

static bool take_bytes(struct reader *r, bool text, const char **s, uint32_t *len) {
  if (!take_u32(r, len)) return false;
  if ((size_t)(r->end - r->at) <= *len) return false;
  *s = (const char *)r->at;
  if ((*s)[*len] != 0 || (text && *len > 0 && memchr(*s, 0, *len))) return false;
  r->at += *len + 1;
  return true;
}

static bool take_field(struct reader *r, char type, const struct plan *plan, struct field *f) {
  uint32_t low, high, ignored;
  const char *item;
  switch (type) {
  case 'u':
    if (!take_u32(r, &low)) return false;
    f->n = low;
    return true;
  case 'i':
    if (!take_u32(r, &low)) return false;
    f->n = (uint64_t)(int64_t)(int32_t)low;
    return true;
  case 'U':
    if (!take_u32(r, &low) || !take_u32(r, &high)) return false;
    f->n = (uint64_t)high << 32 | low;
    return true;
  case 'f':
    if (!take_u32(r, &low) || (low != PLAN_NO_FD && low >= plan->nfds)) return false;
    f->fd = low == PLAN_NO_FD ? -1 : plan->fds ? plan->fds[low] : (int)low;
    return true;
  case 's':
    return take_bytes(r, true, &f->s, &f->len);
  case 'b':
    return take_bytes(r, false, &f->s, &f->len);
  case 'v':
    if (!take_u32(r, &low)) return false;
    f->n = low;
    f->s = (const char *)r->at;
    for (uint32_t i = 0; i < low; i++)
      if (!take_bytes(r, true, &item, &ignored)) return false;
    return true;
  }
  return false;
}

struct cursor plan_begin(const struct plan *plan) {
  return (struct cursor){.plan = plan, .at = plan->size ? HEADER_BYTES : 0};
}

int plan_next(struct cursor *c, struct op *op) {
  const struct plan *plan = c->plan;
  if (c->at == plan->size) return 0;
  if (plan->size - c->at < OP_HEADER_BYTES) return -1;
  const uint8_t *head = plan->bytes + c->at;
  uint32_t payload = le32(head + 4);
  if (head[2] || head[3] || payload > plan->size - c->at - OP_HEADER_BYTES) return -1;
  memset(op, 0, sizeof *op);
  op->code = (uint16_t)(head[0] | head[1] << 8);
  op->index = c->index++;
  const char *layout = layout_of(op->code);
  if (!layout) return -1;
  struct reader r = {head + OP_HEADER_BYTES, head + OP_HEADER_BYTES + payload};
  for (int i = 0; layout[i]; i++)
    if (!take_field(&r, layout[i], plan, &op->f[i])) return -1;
  if (r.at != r.end) return -1;
  c->at += OP_HEADER_BYTES + payload;
  return 1;
}

bool plan_find(const struct plan *plan, uint16_t code, struct op *op) {
  struct cursor c = plan_begin(plan);
  while (plan_next(&c, op) == 1)
    if (op->code == code) return true;
  return false;
}

static bool is_name(const struct field *f) {
  return f->len > 0 && f->len < 256 && !strchr(f->s, '/') && strcmp(f->s, ".") && strcmp(f->s, "..");
}

/* What the layout alone cannot say: needed descriptors, names without slashes, values of closed sets. */
static bool op_is_sound(const struct op *op) {
  const struct field *f = op->f;
  switch (op->code) {
  case OP_STATE:
    return f[0].fd >= 0;
  case OP_RESTART:
    return f[0].n <= PLAN_RESTART_ALWAYS;
  case OP_EVENTS:
    return f[0].fd >= 0 && f[1].len > 0 && f[1].len <= 2048;
  case OP_HEALTH:
    return f[4].n >= 1 && f[5].n <= PLAN_HEALTH_STOP && f[6].len > 0;
  case OP_LISTEN:
  case OP_LOG:
    return f[0].fd >= 0 && is_name(&f[1]);
  case OP_STDIO:
    return f[0].n <= PLAN_STDIO_FDS &&
           (f[0].n != PLAN_STDIO_FDS || (f[3].fd >= 0 && f[4].fd >= 0 && f[5].fd >= 0));
  case OP_STOP:
    return f[0].n >= 1 && f[0].n <= 64;
  case OP_CGROUP:
  case OP_OOM:
  case OP_LEAVE:
  case OP_ROOTFS:
  case OP_PRESERVE:
  case OP_JOIN:
  case OP_ENTER:
  case OP_CGROUP_TASK:
  case OP_MOUNT_FD:
  case OP_ROOT:
    return f[0].fd >= 0;
  case OP_ON_EXIT:
    return f[0].n >= 1;
  case OP_HOOK:
    return f[0].n >= 1 && f[0].n <= 3 && f[2].n >= 1;
  case OP_HOOK_HERE:
    return f[1].n >= 1;
  case OP_PDEATHSIG:
    return f[0].n <= 64;
  case OP_BARRIER:
    return f[0].n == PLAN_BARRIER_RUNTIME_HOOKS || f[0].n == PLAN_BARRIER_START;
  case OP_USER:
    return f[2].len % 4 == 0;
  case OP_SECCOMP:
    return f[1].len > 0 && f[1].len % 8 == 0 && f[1].len / 8 <= 4096;
  case OP_MEMORY_POLICY:
    return f[2].len % 8 == 0 && f[2].len <= 1024;
  case OP_EXEC:
    return f[0].n >= 1 && f[1].n >= 1;
  case OP_PROC_ATTR:
    return f[0].len > 0 && !strstr(f[0].s, "..");
  }
  return true;
}

int plan_check(const struct plan *plan, enum plan_kind kind, uint32_t *bad) {
  *bad = 0xffffffff;
  if (plan->size > PLAN_MAX_BYTES || plan->nfds > PLAN_MAX_FDS) return fail_with(E2BIG);
  const uint8_t *h = plan->bytes;
  if (plan->size < HEADER_BYTES || le32(h) != PLAN_MAGIC || le32(h + 4) != PLAN_VERSION ||
      le32(h + 8) != plan->size || le32(h + 12) != plan->nfds)
    return fail_with(EINVAL);
  struct cursor c = plan_begin(plan);
  struct op op;
  /* Everything occurs once but what is listed; bits of the codes seen so far. */
  uint64_t seen[3] = {0};
  bool ended = false;
  int more;
  while ((more = plan_next(&c, &op)) == 1) {
    *bad = op.index;
    if (!op_is_sound(&op)) return fail_with(EINVAL);
    if (op.code < OP_FIRST_STEP && op.code != OP_HOOK && op.code != OP_LEAVE && op.code != OP_PRESERVE &&
        op.code != OP_JOIN && op.code != OP_HEALTH_FD && op.code != OP_HOLD &&
        seen[op.code / 64] & 1ull << op.code % 64)
      return fail_with(EINVAL);
    if (op.code >= OP_FIRST_STEP && ended) return fail_with(EINVAL);
    if (kind == PLAN_FOR_EXEC && op.code < 50 && op.code != OP_STDIO && op.code != OP_PRESERVE)
      return fail_with(EINVAL);
    if (op.code == (kind == PLAN_FOR_EXEC ? OP_CLONE : OP_ENTER)) return fail_with(EINVAL);
    ended |= op.code == OP_EXEC || op.code == OP_PAUSE;
    seen[op.code / 64] |= 1ull << op.code % 64;
  }
  if (more < 0) {
    *bad = c.index;
    return fail_with(EINVAL);
  }
  uint16_t needed = kind == PLAN_FOR_EXEC ? OP_ENTER : OP_STATE;
  if (!ended || !(seen[needed / 64] & 1ull << needed % 64)) return fail_with(EINVAL);
  return 0;
}

static int plan_size(int fd, uint32_t *size) {
  struct stat st;
  if (fstat(fd, &st) < 0) return -1;
  if (!S_ISREG(st.st_mode) || st.st_size < HEADER_BYTES) return fail_with(EINVAL);
  if (st.st_size > PLAN_MAX_BYTES) return fail_with(E2BIG);
  *size = (uint32_t)st.st_size;
  return 0;
}

int plan_count_fds(int fd) {
  uint8_t header[HEADER_BYTES];
  if (pread(fd, header, sizeof header, 0) != sizeof header) return fail_with(EINVAL);
  uint32_t n = le32(header + 12);
  return n > PLAN_MAX_FDS ? fail_with(E2BIG) : (int)n;
}

int plan_load(struct plan *plan, int fd, int *fds, uint32_t nfds, enum plan_kind kind) {
  *plan = (struct plan){.fds = fds, .nfds = nfds};
  uint32_t size, bad;
  if (plan_size(fd, &size) < 0) return -1;
  /* Bytes that can still change are copied first: what was checked is what is executed. */
  const int sealed = F_SEAL_WRITE | F_SEAL_SHRINK;
  int seals = fcntl(fd, F_GET_SEALS);
  bool share = seals >= 0 && (seals & sealed) == sealed;
  void *bytes = mmap(NULL, size, share ? PROT_READ : PROT_READ | PROT_WRITE,
                     share ? MAP_PRIVATE | MAP_POPULATE : MAP_PRIVATE | MAP_ANONYMOUS, share ? fd : -1, 0);
  if (bytes == MAP_FAILED) return -1;
  plan->bytes = bytes;
  plan->size = plan->mapped = size;
  for (uint32_t at = 0; !share && at < size;) {
    ssize_t n = pread(fd, (char *)bytes + at, size - at, at);
    if (n <= 0) {
      plan_unload(plan);
      return fail_with(EINVAL);
    }
    at += (uint32_t)n;
  }
  if (plan_check(plan, kind, &bad) == 0) return 0;
  int err = errno;
  plan_unload(plan);
  return fail_with(err);
}

void plan_unload(struct plan *plan) {
  if (plan->mapped) munmap((void *)(uintptr_t)plan->bytes, plan->mapped);
  plan->mapped = plan->size = 0;
  plan->bytes = NULL;
}

const char *strv_next(const char **at) {
  uint32_t len = le32((const uint8_t *)*at);
  const char *item = *at + 4;
  *at = item + len + 1;
  return item;
}

const char **strv_array(const struct field *f) {
  const char **array = malloc((f->n + 1) * sizeof *array);
  if (!array) return NULL;
  const char *at = f->s;
  for (uint64_t i = 0; i < f->n; i++)
    array[i] = strv_next(&at);
  array[f->n] = NULL;
  return array;
}
