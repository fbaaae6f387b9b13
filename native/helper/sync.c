#include "sync.h"

#include <sys/socket.h>

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
  union {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
  } control = {0};
  struct iovec iov = {&m, HEAD};
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -1 : 0;
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
  union {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct iovec iov = {m, sizeof *m};
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  *fd = -1;
  ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (n < 0) return -1;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
      memcpy(fd, CMSG_DATA(c), sizeof(int));
  if (n == 0) return 0;
  if ((size_t)n < HEAD || m->len > (size_t)n - HEAD) return fail_with(EPROTO);
  return 1;
}
