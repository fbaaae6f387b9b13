/* Makes the process of a Plan: clone3, joined namespaces, id maps. */
#pragma once
#include "plan.h"

struct spawned {
  pid_t pid; /* 0 until an intermediate process reported it */
  int pidfd;
  int sync;   /* our end of the sync socket */
  bool waits; /* the process waits for spawn_settle */
};

struct spawn_fail {
  uint32_t step;
  int err;
};

/* child_stdio: what becomes 0, 1, 2 (-1: null). own_pipes: they may be given to the process's user. */
int spawn(const struct plan *plan, const int child_stdio[3], bool own_pipes, struct spawned *out,
          struct spawn_fail *fail);
/* When the pid is known: writes id maps and oom_score_adj through `proc`, opens the pidfd, releases the
 * process. */
int spawn_settle(const struct plan *plan, struct spawned *s, int proc, struct spawn_fail *fail);
