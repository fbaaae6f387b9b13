/* Runs one hook of the OCI runtime specification. */
#pragma once
#include "plan.h"

struct hook {
  const char *path;
  const struct field *argv;
  const struct field *env;
  uint32_t timeout_ms; /* 0: none */
  const char *state;   /* JSON whose "pid":0 is replaced */
};

/* Waits for it. -1: could not run, failed or took too long; text says which. */
int hook_run(const struct hook *hook, pid_t pid, struct text *text);
