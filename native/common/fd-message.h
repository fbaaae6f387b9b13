/* Messages of a unix socket with at most one descriptor. */
#pragma once
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

union fd_control {
  struct cmsghdr align;
  char space[CMSG_SPACE(sizeof(int))];
};

/* fd -1: none. What sendmsg says. */
static inline ssize_t send_with_fd(int sock, struct iovec *parts, size_t count, int fd, int flags) {
  union fd_control control = {0};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
  if (fd >= 0) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  return sendmsg(sock, &message, flags | MSG_NOSIGNAL);
}

/* *fd becomes the descriptor that came with it, close-on-exec, or -1. The kernel closes a second one: there
 * is no room for it. What recvmsg says. */
static inline ssize_t recv_with_fd(int sock, void *bytes, size_t len, int *fd, int flags) {
  union fd_control control;
  struct iovec part = {bytes, len};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof *fd)};
  *fd = -1;
  ssize_t n = recvmsg(sock, &message, flags | MSG_CMSG_CLOEXEC);
  if (n < 0) return -1;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
      head->cmsg_len == CMSG_LEN(sizeof *fd))
    memcpy(fd, CMSG_DATA(head), sizeof *fd);
  return n;
}
