#include "sync.h"

#include "common/fd-message.h"

#define HEAD offsetof(struct sync_message, text)

/* write, not sendmsg: a seccomp filter that is already installed allows it sooner. */
static int put(int sock, const struct sync_message *m, size_t len) {
  ssize_t n;
  do
    n = write(sock, m, HEAD + len);
  while (n < 0 && errno == EINTR);
  return n < 0 ? -1 : 0;
}

int sync_send(int sock, uint32_t type, uint32_t value) {
  struct sync_message m = {.type = type, .value = value};
  return put(sock, &m, 0);
}

void sync_fail(int sock, uint32_t step, int err, const char *text) {
  struct sync_message m = {.type = SYNC_FAIL, .value = step, .err = err};
  size_t len = strlen(text);
  m.len = (uint32_t)(len < sizeof m.text ? len : sizeof m.text);
  memcpy(m.text, text, m.len);
  put(sock, &m, m.len);
}

int sync_send_fd(int sock, uint32_t type, int fd) {
  struct sync_message m = {.type = type};
  struct iovec part = {&m, HEAD};
  return send_with_fd(sock, &part, 1, fd, 0) < 0 ? -1 : 0;
}

int sync_wait_go(int sock) {
  struct sync_message m;
  ssize_t n;
  do
    n = read(sock, &m, sizeof m);
  while (n < 0 && errno == EINTR);
  return n >= (ssize_t)HEAD && m.type == SYNC_GO ? 0 : fail_with(ECONNRESET);
}

int sync_receive(int sock, struct sync_message *m, int *fd) {
  ssize_t n = recv_with_fd(sock, m, sizeof *m, fd, MSG_DONTWAIT);
  if (n < 0) return -1;
  if (n == 0) return 0;
  if ((size_t)n < HEAD || m->len > (size_t)n - HEAD) return fail_with(EPROTO);
  return 1;
}
