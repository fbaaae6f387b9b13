/* The container's log in the CRI format, rotated by size. Never fails: what cannot be written is counted and
 * noted later. */
#pragma once
#include "base.h"

/* A longer line is cut into partial records. */
#define LOG_LINE_MAX 16384

enum log_stream { LOG_STDOUT, LOG_STDERR };

/* journald's socket and the fields of every message; path NULL: not used. */
struct journal {
  const char *path, *fields;
  int fd;
};

struct log {
  struct journal journal;
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

/* Connects to journald. */
int journal_open(struct journal *journal);
/* One message of two parts. False: journald did not take it. */
bool journal_send(struct journal *journal, enum log_stream stream, bool partial, const char *one,
                  size_t one_len, const char *two, size_t two_len);
int log_open(struct log *log);
void log_write(struct log *log, enum log_stream stream, const char *data, size_t len);
/* The stream ended: its unfinished line is closed. */
void log_end(struct log *log, enum log_stream stream);
