/* The container's log in the CRI format, rotated by size. Never fails: what cannot be written is counted and
 * noted later. */
#pragma once
#include "base.h"

/* A longer line is cut into partial records. */
#define LOG_LINE_MAX 16384

enum log_stream { LOG_STDOUT, LOG_STDERR };

struct log {
  int dir;
  int fd;
  const char *name; /* NULL: no log */
  uint64_t size, max_bytes;
  uint32_t max_files;
  uint64_t dropped;
  /* The unfinished line of each stream. */
  struct {
    char *bytes;
    uint32_t len;
    bool cut;
  } line[2];
};

int log_open(struct log *log);
void log_write(struct log *log, enum log_stream stream, const char *data, size_t len);
/* The stream ended: its unfinished line is closed. */
void log_end(struct log *log, enum log_stream stream);
