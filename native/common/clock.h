/* The time since the machine started, which nobody sets. */
#pragma once
#include <stdint.h>
#include <time.h>

static inline int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * (int64_t)1000 + now.tv_nsec / 1000000;
}
