/* What every file of the helper stands on: scoped descriptors, a bounded text, exact numbers. No stdio, no
 * locale. */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "common/scoped-fd.h"

static inline void close_and_clear(int *fd) {
  close_scoped(fd);
  *fd = -1;
}
/* Moves a descriptor out of its scope. */
static inline int fd_take(int *fd) {
  int out = *fd;
  *fd = -1;
  return out;
}

static inline int fail_with(int err) {
  errno = err;
  return -1;
}

/* A short string built without stdio; what does not fit is cut. Always NUL-terminated. */
struct text {
  size_t len;
  char s[320];
};
void text_add(struct text *t, const char *s);
void text_add_bytes(struct text *t, const char *s, size_t len);
void text_num(struct text *t, uint64_t n);
void text_pad(struct text *t, uint64_t n, unsigned width);
/* RFC 3339 with nine decimals, UTC. */
void text_time(struct text *t, const struct timespec *at);

/* Parses a whole string of decimal digits (at most 19). False for anything else. */
bool parse_number(const char *s, size_t len, uint64_t *out);

/* Writes everything, or -1. */
int write_all(int fd, const void *data, size_t len);
/* Reads a small file into buf and terminates it; bytes read or -1. */
ssize_t read_small(int dir, const char *path, char *buf, size_t size);
int set_nonblock(int fd);
/* Unblocks every signal; the dispositions were reset when the helper started. */
void signals_unblock(void);
/* Dumpable off: nobody who is not privileged over us may look into this process or its descriptors. */
void undumpable(void);
