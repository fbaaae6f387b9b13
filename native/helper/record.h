/* State files of a container directory (docs/reference/plan.md, "State files"). */
#pragma once
#include "base.h"

struct exit_info {
  uint32_t code, signal;
  bool oom;
  bool stopped;                      /* somebody asked for it */
  struct timespec started, finished; /* tv_sec 0: never started */
};

/* Turns a wait status into code and signal. */
void exit_info_status(struct exit_info *info, int status);
void exit_info_time(struct text *t, const struct timespec *at);
/* Atomic; durable unless volatile. subdir: NULL or the directory made on demand. */
int record_exit(int dir, const char *subdir, const char *name, const struct exit_info *info,
                bool is_volatile);
/* Replaces a file of the directory in one step; durable unless volatile. */
int record_replace(int dir, const char *name, const char *content, size_t len, bool is_volatile);
/* Takes the space for the next exit record, so that a full disk cannot lose it. Best effort. */
void record_reserve(int dir);
/* `pid`: PID and start time, read through proc. */
int record_pid(int dir, int proc, pid_t pid);
