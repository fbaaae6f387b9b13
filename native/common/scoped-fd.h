/* A descriptor that is closed when its scope ends; errno survives. */
#pragma once
#include <errno.h>
#include <unistd.h>

static inline void close_scoped(const int *fd) {
  int saved = errno;
  if (*fd >= 0) close(*fd);
  errno = saved;
}
#define SCOPED_FD __attribute__((cleanup(close_scoped))) int
