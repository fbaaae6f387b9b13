/* Every lookup of a container's path: beneath a root descriptor, without magic links, and act on the
 * descriptor found. */
#pragma once
#include "base.h"

#define KEEP_ID 0xffffffffu

/* openat2 that retries while the tree changes under it. */
int path_open2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
/* O_PATH (plus flags) on what `path` names inside root, symlinks resolved inside root. */
int path_find(int root, const char *path, int flags);
/* The same, but a symlink anywhere on the way is ELOOP. */
int path_find_real(int root, const char *path, int flags);
/* mkdir -p; mode and owner (KEEP_ID: leave) go to directories made here. Returns an O_PATH descriptor of the
 * last. */
int path_make_dirs(int root, const char *path, mode_t mode, uint32_t uid, uint32_t gid);
/* O_PATH on a file; a missing one is created empty, with its directories. */
int path_make_file(int root, const char *path, mode_t mode);
/* The directory that holds the last component (made when missing), and that component. */
int path_parent(int root, const char *path, const char **base);

/* A procfs of our own: a fresh mount nobody else can reach. pids_only hides everything but processes. */
int proc_private(bool pids_only);
/* The visible /proc, proven to be the root of a procfs. */
int proc_visible(int root);
/* Writes to a procfs file reached through neither link nor mount. */
int proc_write(int proc, const char *path, const char *data, size_t len);
