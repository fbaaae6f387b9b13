/* Output for journald, by its native protocol: one datagram a line. */
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "log.h"

/* journald is behind: so long a container's output waits for it before a line is given up. */
#define PATIENCE_MS 1000

int journal_open(struct journal *j) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t len = strlen(j->path);
  if (len >= sizeof address.sun_path) return fail_with(ENAMETOOLONG);
  memcpy(address.sun_path, j->path, len + 1);
  close_and_clear(&j->fd);
  SCOPED_FD fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) return -1;
  j->fd = fd_take(&fd);
  return 0;
}

static bool deliver(struct journal *j, const struct msghdr *msg) {
  for (int again = 0; again < 2; again++) {
    struct pollfd room = {.fd = j->fd, .events = POLLOUT};
    if (sendmsg(j->fd, msg, MSG_NOSIGNAL) >= 0) return true;
    if (errno == EAGAIN)
      poll(&room, 1, PATIENCE_MS);
    else if (journal_open(j) < 0) /* It was started anew. */
      return false;
  }
  return false;
}

bool journal_send(struct journal *j, enum log_stream stream, bool partial, const char *one, size_t one_len,
                  const char *two, size_t two_len) {
  const char *level = stream == LOG_STDERR ? "PRIORITY=3\nMESSAGE\n" : "PRIORITY=6\nMESSAGE\n";
  const char *part = partial ? "\nCONTAINER_PARTIAL_MESSAGE=true\n" : "\n";
  uint64_t len = one_len + two_len;
  uint8_t size[8];
  for (int i = 0; i < 8; i++)
    size[i] = (uint8_t)(len >> 8 * i);
  struct iovec parts[] = {{(void *)(uintptr_t)j->fields, strlen(j->fields)},
                          {(void *)(uintptr_t)level, strlen(level)},
                          {size, sizeof size},
                          {(void *)(uintptr_t)one, one_len},
                          {(void *)(uintptr_t)two, two_len},
                          {(void *)(uintptr_t)part, strlen(part)}};
  struct msghdr msg = {.msg_iov = parts, .msg_iovlen = sizeof parts / sizeof *parts};
  return deliver(j, &msg);
}
