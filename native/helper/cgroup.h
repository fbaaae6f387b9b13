/* The end of a container's cgroups: everything in them is killed, then the directories go. */
#pragma once
#include "plan.h"

struct cgroup {
  int root; /* -1: none */
  struct field dirs;
  const char *kill, *procs, *freezer;
};

/* A signal to every process; SIGKILL through cgroup.kill where there is one. */
int cgroup_signal(const struct cgroup *cg, int signo);
/* Lets a v1 frozen group run, so that it can die. */
void cgroup_thaw(const struct cgroup *cg);
/* Kills, waits and removes. reap is called while waiting. */
void cgroup_end(const struct cgroup *cg, void (*reap)(void *), void *arg);
/* Kills and waits until nothing lives there any more; the directories stay. */
void cgroup_clear(const struct cgroup *cg, void (*reap)(void *), void *arg);
/* Whether its processes are held by the freezer. */
bool cgroup_frozen(const struct cgroup *cg);
/* Value of a "key value" line; 0 when absent. */
uint64_t cgroup_counter(int root, const char *file, const char *key);
