/* The process that becomes the container's (or an exec session's): runs the steps of its Plan in order, then
 * execve. */
#pragma once
#include "path.h"
#include "plan.h"
#include "sync.h"

struct init {
  const struct plan *plan;
  int sync;
  int root; /* O_PATH on the container's root; -1 before the root step */
  int proc; /* private procfs, processes only; and a whole one for sysctl */
  int proc_all;
  int null_tree; /* clone of the host's verified null device */
  int mask_dir;  /* the shared empty read-only directory */
  int stdio[3];  /* what becomes 0, 1, 2; -1: the null device */
  bool chown_stdio;
  bool attached_null;
  bool has_cwd;
  bool pivoted;
  bool announced;
  bool closed;
  uint32_t umask;
  uint32_t pdeathsig;
  struct text text; /* what the failing step was about */
};

/* Runs every step after op number `from`; never returns. */
_Noreturn void init_run(struct init *in, uint32_t from);

/* Steps return 0, or -1 with errno. */
int step_root(struct init *in, const struct op *op);
int step_mount_fs(struct init *in, const struct op *op);
int step_mount_fd(struct init *in, const struct op *op);
int step_readonly_path(struct init *in, const struct op *op);
int step_mask(struct init *in, const struct op *op);
int step_pivot(struct init *in);
int step_root_attr(struct init *in, const struct op *op);

int step_mknod(struct init *in, const struct op *op);
int step_symlink(struct init *in, const struct op *op);
int step_mkdir(struct init *in, const struct op *op);
int step_tty(struct init *in, const struct op *op);
int step_loopback(void);

int step_pdeathsig(struct init *in, const struct op *op);
int step_caps_bounding(const struct op *op);
int step_user(struct init *in, const struct op *op);
int step_caps(struct init *in, const struct op *op);
int step_cwd(struct init *in, const struct op *op);

int step_sysctl(struct init *in, const struct op *op);
int step_proc_attr(struct init *in, const struct op *op);
int step_hook_here(struct init *in, const struct op *op);
int step_scheduler(const struct op *op);
int step_keyring(const struct op *op);
int step_memory_policy(const struct op *op);
int step_seccomp(struct init *in, const struct op *op);
int step_exec(struct init *in, const struct op *op);
int step_pause(struct init *in);

/* Before the first of seccomp and exec: tells the monitor, and marks every other descriptor to be closed. */
int init_announce(struct init *in);
/* A descriptor of the container's root, opened on first use. */
int init_root(struct init *in);
/* Copies the content of one directory into another; regular files, directories, symlinks. */
int copy_up(int from, int to, int depth);
/* Process 1 of exec's init mode; never returns. */
_Noreturn void init_reap(pid_t child);
