#include "base.h"

#include <signal.h>
#include <sys/prctl.h>

void text_add_bytes(struct text *t, const char *s, size_t len) {
  size_t room = sizeof t->s - 1 - t->len;
  if (len > room) len = room;
  memcpy(t->s + t->len, s, len);
  t->len += len;
  t->s[t->len] = 0;
}

void text_add(struct text *t, const char *s) {
  text_add_bytes(t, s, strlen(s));
}

void text_pad(struct text *t, uint64_t n, unsigned width) {
  char digits[24];
  size_t at = sizeof digits;
  do
    digits[--at] = (char)('0' + n % 10);
  while (n /= 10);
  while (at > 0 && sizeof digits - at < width)
    digits[--at] = '0';
  text_add_bytes(t, digits + at, sizeof digits - at);
}

void text_num(struct text *t, uint64_t n) {
  text_pad(t, n, 1);
}

void text_time(struct text *t, const struct timespec *at) {
  /* Civil date from days since 1970 by 400-year eras that begin on 1 March. */
  int64_t days = at->tv_sec / 86400;
  uint32_t second = (uint32_t)(at->tv_sec % 86400);
  int64_t shifted = days + 719468;
  int64_t era = shifted / 146097;
  uint32_t of_era = (uint32_t)(shifted - era * 146097);
  uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  uint32_t march_month = (5 * of_year + 2) / 153;
  uint32_t day = of_year - (153 * march_month + 2) / 5 + 1;
  uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  text_pad(t, (uint64_t)(era * 400 + year_of_era + (month <= 2)), 4);
  text_add(t, "-");
  text_pad(t, month, 2);
  text_add(t, "-");
  text_pad(t, day, 2);
  text_add(t, "T");
  text_pad(t, second / 3600, 2);
  text_add(t, ":");
  text_pad(t, second / 60 % 60, 2);
  text_add(t, ":");
  text_pad(t, second % 60, 2);
  text_add(t, ".");
  text_pad(t, (uint64_t)at->tv_nsec, 9);
  text_add(t, "Z");
}

bool parse_number(const char *s, size_t len, uint64_t *out) {
  if (len == 0 || len > 19) return false;
  uint64_t n = 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9') return false;
    n = n * 10 + (uint64_t)(s[i] - '0');
  }
  *out = n;
  return true;
}

int write_all(int fd, const void *data, size_t len) {
  const char *at = data;
  while (len > 0) {
    ssize_t n = write(fd, at, len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) return fail_with(EIO);
    at += n;
    len -= (size_t)n;
  }
  return 0;
}

ssize_t read_small(int dir, const char *path, char *buf, size_t size) {
  SCOPED_FD fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  size_t len = 0;
  while (len < size - 1) {
    ssize_t n = read(fd, buf + len, size - 1 - len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    len += (size_t)n;
  }
  buf[len] = 0;
  return (ssize_t)len;
}

int set_nonblock(int fd) {
  int flags = fcntl(fd, F_GETFL);
  return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

void signals_unblock(void) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

void undumpable(void) {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
