/* libFuzzer target: what the helper parses from outside. The first byte chooses: a monitor Plan, an exec
 * Plan, or frames of a client. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "monitor.h"

static void read_all_fields(const struct plan *plan) {
  struct cursor c = plan_begin(plan);
  struct op op;
  volatile size_t sink = 0;
  while (plan_next(&c, &op) == 1)
    for (int i = 0; i < OP_FIELDS; i++) {
      for (uint32_t at = 0; op.f[i].s && at < op.f[i].len; at++)
        sink += (unsigned char)op.f[i].s[at];
      if (op.code != OP_EXEC || i > 2) continue;
      const char **items = strv_array(&op.f[i]);
      for (const char **item = items; item && *item; item++)
        sink += strlen(*item);
      free(items);
    }
}

static void parse_plan(const uint8_t *data, size_t size, enum plan_kind kind) {
  uint32_t bad;
  /* A copy of the exact size, so that one byte too far is seen; the header is made right to get past it. */
  uint8_t *bytes = malloc(size + 16);
  const uint32_t head[4] = {PLAN_MAGIC, PLAN_VERSION, (uint32_t)size + 16, 8};
  memcpy(bytes, head, sizeof head);
  memcpy(bytes + 16, data, size);
  struct plan plan = {.bytes = bytes, .size = (uint32_t)size + 16, .nfds = 8};
  if (plan_check(&plan, kind, &bad) == 0) read_all_fields(&plan);
  free(bytes);
}

static void parse_frames(const uint8_t *data, size_t size) {
  struct monitor m;
  int pair[2];
  monitor_blank(&m);
  m.phase = PHASE_EXITED;
  m.over = m.main.exited = true;
  m.epoll = epoll_create1(EPOLL_CLOEXEC);
  if (m.epoll < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) abort();
  struct client *c = client_add(&m, pair[0], data[0] & 1);
  c->in = malloc(size);
  memcpy(c->in, data, size);
  c->in_len = c->in_size = (uint32_t)size;
  client_parse(&m, c);
  client_drop(&m, c);
  free(c->in);
  free(c);
  close(pair[1]);
  close(m.epoll);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  if (data[0] % 3 == 2)
    parse_frames(data + 1, size - 1);
  else
    parse_plan(data + 1, size - 1, data[0] % 3 ? PLAN_FOR_EXEC : PLAN_FOR_MONITOR);
  return 0;
}
