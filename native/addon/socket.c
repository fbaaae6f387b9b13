/* Bytes and descriptors over a unix socket. */
#include "addon.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kernel's SCM_MAX_FD. */
enum { max_fds = 253 };

union control {
  char bytes[CMSG_SPACE(max_fds * sizeof(int))];
  struct cmsghdr align;
};

/* sendmsg(fd, bytes, Int32Array fds, flags): bytes sent; the descriptors go with the first one. */
static napi_value send_message(napi_env env, napi_callback_info info) {
  napi_value args[4];
  int64_t fd, flags;
  struct iovec iov;
  void *fds;
  size_t fds_bytes;
  if (!tare_args(env, info, args, 4) || tare_int(env, args[0], &fd) < 0 ||
      tare_bytes(env, args[1], &iov.iov_base, &iov.iov_len) < 0 ||
      tare_bytes(env, args[2], &fds, &fds_bytes) < 0 || tare_int(env, args[3], &flags) < 0)
    return tare_number(env, -EINVAL);
  if (fds_bytes > max_fds * sizeof(int) || fds_bytes % sizeof(int)) return tare_number(env, -EINVAL);
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  union control control;
  if (fds_bytes) {
    memset(&control, 0, sizeof(control));
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds_bytes);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds_bytes);
    memcpy(CMSG_DATA(header), fds, fds_bytes);
  }
  ssize_t sent = sendmsg((int)fd, &message, (int)flags | MSG_NOSIGNAL);
  return tare_number(env, sent < 0 ? -errno : sent);
}

/*
 * recvmsg(fd, bytes, Int32Array out, flags): bytes received. out[0] becomes the number of descriptors, which
 * follow. More than fit, or cut ones: all are closed and the result is -EMSGSIZE.
 */
static napi_value receive_message(napi_env env, napi_callback_info info) {
  napi_value args[4];
  int64_t fd, flags;
  struct iovec iov;
  void *out_data;
  size_t out_bytes;
  if (!tare_args(env, info, args, 4) || tare_int(env, args[0], &fd) < 0 ||
      tare_bytes(env, args[1], &iov.iov_base, &iov.iov_len) < 0 ||
      tare_bytes(env, args[2], &out_data, &out_bytes) < 0 || tare_int(env, args[3], &flags) < 0)
    return tare_number(env, -EINVAL);
  if (!out_data || out_bytes < sizeof(int) || out_bytes % sizeof(int)) return tare_number(env, -EINVAL);
  int *out = out_data;
  const size_t room = out_bytes / sizeof(int) - 1;
  union control control;
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
  out[0] = 0;
  ssize_t received = recvmsg((int)fd, &message, (int)flags | MSG_CMSG_CLOEXEC);
  if (received < 0) return tare_number(env, -errno);
  bool cut = message.msg_flags & MSG_CTRUNC;
  size_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here; i++) {
      int one;
      memcpy(&one, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      if (count < room)
        out[1 + count++] = one;
      else {
        close(one);
        cut = true;
      }
    }
  }
  if (cut) {
    for (size_t i = 0; i < count; i++)
      close(out[1 + i]);
    return tare_number(env, -EMSGSIZE);
  }
  out[0] = (int)count;
  return tare_number(env, received);
}

TARE_FUNCTIONS(socket, {"sendmsg", send_message}, {"recvmsg", receive_message})
