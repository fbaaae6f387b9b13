#include "spawn.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "init.h"

#define FIRST_CLONE_OP 50

/* Everything the child needs to know, copied by fork. */
struct request {
  const struct plan *plan;
  const int *stdio;
  bool own_pipes;
  uint64_t flags;
  int cgroup;
  int cgroup_ns; /* of the process that is entered, where only its descriptor will do */
  bool waits;
  bool user_ns;  /* the process ends up in another user namespace */
  uint32_t from; /* first op the process itself runs */
  uint32_t clone_step;
};

static int compare(const void *a, const void *b) {
  return *(const int *)a - *(const int *)b;
}

/* Closes what the process has no use for: all but stdio, the sync socket and the Plan's own descriptors. */
static void keep_only(const struct request *rq, int sync, uint16_t first_code) {
  int keep[PLAN_MAX_FDS * 2 + 8], n = 0;
  struct cursor c = plan_begin(rq->plan);
  struct op op;
  while (plan_next(&c, &op) == 1) {
    if (op.code < first_code && op.code != OP_PRESERVE) continue;
    for (int i = 0; i < OP_FIELDS && n < (int)PLAN_MAX_FDS * 2; i++)
      if (op.f[i].fd > 2) keep[n++] = op.f[i].fd;
  }
  for (int i = 0; i < 3; i++)
    if (rq->stdio[i] > 2) keep[n++] = rq->stdio[i];
  keep[n++] = sync;
  qsort(keep, (size_t)n, sizeof *keep, compare);
  unsigned next = 3;
  for (int i = 0; i < n; i++) {
    if ((unsigned)keep[i] > next) close_range(next, (unsigned)keep[i] - 1, 0);
    next = (unsigned)keep[i] + 1;
  }
  close_range(next, ~0u, 0);
}

static _Noreturn void give_up(int sync, uint32_t step) {
  sync_fail(sync, step, errno, "");
  _exit(126);
}

/* The process itself joins this one, born in its cgroup: where cgroup2 is mounted with nsdelegate, as systemd
 * does, nobody inside such a namespace may be born out of it into the container's cgroup. */
static void join_cgroup_namespace(const struct request *rq, int sync) {
  struct cursor c = plan_begin(rq->plan);
  struct op op;
  while (plan_next(&c, &op) == 1)
    if ((op.code == OP_JOIN || op.code == OP_ENTER) && (op.f[1].n & CLONE_NEWCGROUP) &&
        setns(rq->cgroup_ns < 0 ? op.f[0].fd : rq->cgroup_ns, CLONE_NEWCGROUP) < 0)
      give_up(sync, op.index);
}

/* Who is in the user namespace may not look at a process that is not dumpable, as our own init. Joining what
 * pidfd stands for proves afterwards that the number was its own. */
static int cgroup_namespace_of(int pidfd) {
  struct text info = {0}, path = {0};
  char lines[512];
  text_add(&info, "/proc/self/fdinfo/");
  text_num(&info, (uint64_t)pidfd);
  if (read_small(AT_FDCWD, info.s, lines, sizeof lines) < 0) return -1;
  const char *pid = strstr(lines, "\nPid:\t");
  if (!pid || pid[6] < '1') return fail_with(ESRCH);
  text_add(&path, "/proc/");
  text_num(&path, strtoul(pid + 6, NULL, 10));
  text_add(&path, "/ns/cgroup");
  return open(path.s, O_RDONLY | O_CLOEXEC);
}

static _Noreturn void child_main(const struct request *rq, int sync) {
  undumpable();
  if (rq->waits && sync_wait_go(sync) < 0) _exit(126);
  if (rq->user_ns) {
    /* Ids of the new namespace. Where 0 is not mapped the capabilities are there all the same. */
    if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0) errno = 0;
    undumpable();
  }
  join_cgroup_namespace(rq, sync);
  keep_only(rq, sync, OP_FIRST_STEP);
  struct init in = {.plan = rq->plan,
                    .sync = sync,
                    .root = -1,
                    .proc = -1,
                    .proc_all = -1,
                    .null_tree = -1,
                    .mask_dir = -1,
                    .stdio = {rq->stdio[0], rq->stdio[1], rq->stdio[2]},
                    .chown_stdio = rq->own_pipes,
                    .umask = 022};
  init_run(&in, rq->from);
}

static long clone_process(const struct request *rq, uint64_t extra, int *pidfd) {
  struct clone_args args = {.flags = rq->flags | extra | (pidfd ? CLONE_PIDFD : 0),
                            .exit_signal = extra & CLONE_PARENT ? 0 : SIGCHLD,
                            .pidfd = (uint64_t)(uintptr_t)pidfd};
  if (rq->cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)rq->cgroup;
  }
  return syscall(SYS_clone3, &args, sizeof args);
}

/* Namespaces owned by a user namespace that is joined too need it first; those owned by ours need it last: so
 * what can be joined, then the user namespace, then the rest. */
static void join_all(const struct request *rq, int sync) {
  bool joined[PLAN_MAX_FDS] = {0};
  for (int pass = 0; pass < 3; pass++) {
    struct cursor c = plan_begin(rq->plan);
    struct op op;
    for (int i = 0; plan_next(&c, &op) == 1;) {
      if (op.code != OP_JOIN || op.f[1].n == CLONE_NEWCGROUP || i >= (int)PLAN_MAX_FDS) continue;
      int number = i++;
      if (joined[number] || (op.f[1].n == CLONE_NEWUSER) != (pass == 1)) continue;
      joined[number] = setns(op.f[0].fd, (int)op.f[1].n) == 0;
      if (!joined[number] && (pass > 0 || errno != EPERM)) give_up(sync, op.index);
    }
  }
}

static void set_time_offsets(const struct op *op, int sync) {
  SCOPED_FD root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  SCOPED_FD proc = proc_visible(root);
  struct text path = {0};
  text_num(&path, (uint64_t)getpid());
  text_add(&path, "/timens_offsets");
  if (proc < 0 || unshare(CLONE_NEWTIME) < 0 || proc_write(proc, path.s, op->f[0].s, op->f[0].len) < 0)
    give_up(sync, op->index);
}

/* Joins, then makes the real process as a child of the monitor and reports its pid. */
static _Noreturn void intermediate_main(struct request *rq, int sync) {
  struct cursor c = plan_begin(rq->plan);
  struct op op, enter;
  bool exec = plan_find(rq->plan, OP_ENTER, &enter);
  keep_only(rq, sync, FIRST_CLONE_OP);
  if (plan_find(rq->plan, OP_TIMENS, &op)) set_time_offsets(&op, sync);
  while (exec && plan_next(&c, &op) == 1 && op.index < enter.index)
    if (op.code == OP_CGROUP_TASK && write_all(op.f[0].fd, "0", 1) < 0) give_up(sync, op.index);
  uint64_t owned = CLONE_NEWUSER | CLONE_NEWCGROUP;
  if (exec && (enter.f[1].n & owned) == owned && (rq->cgroup_ns = cgroup_namespace_of(enter.f[0].fd)) < 0)
    give_up(sync, enter.index);
  int entered = exec ? (int)enter.f[1].n & ~CLONE_NEWCGROUP : 0;
  if (entered && setns(enter.f[0].fd, entered) < 0) give_up(sync, enter.index);
  join_all(rq, sync);
  undumpable();
  long pid = clone_process(rq, CLONE_PARENT, NULL);
  if (pid < 0) give_up(sync, rq->clone_step);
  if (pid == 0) child_main(rq, sync);
  sync_send(sync, SYNC_PID, (uint32_t)pid);
  _exit(0);
}

int spawn(const struct plan *plan, const int stdio[3], bool own_pipes, struct spawned *out,
          struct spawn_fail *fail) {
  struct request rq = {.plan = plan, .stdio = stdio, .own_pipes = own_pipes, .cgroup = -1, .cgroup_ns = -1};
  bool via = false, timens = false;
  struct cursor c = plan_begin(plan);
  struct op op;
  *fail = (struct spawn_fail){NO_STEP, 0};
  while (plan_next(&c, &op) == 1) {
    if (op.code == OP_CLONE) {
      rq.flags = op.f[0].n;
      rq.cgroup = op.f[1].fd;
      rq.clone_step = op.index;
      rq.user_ns |= (rq.flags & CLONE_NEWUSER) != 0;
    } else if (op.code == OP_ENTER) {
      rq.cgroup = op.f[2].fd;
      rq.from = rq.clone_step = op.index;
      rq.user_ns |= (op.f[1].n & CLONE_NEWUSER) != 0;
      via = true;
    } else if (op.code == OP_JOIN) {
      via = true;
      rq.user_ns |= op.f[1].n == CLONE_NEWUSER;
    } else if (op.code == OP_TIMENS) {
      via = timens = true;
    } else if (op.code == OP_STDIO_OWNER) {
      /* Whoever is in a user namespace cannot take what is ours. All the same it can write to it. */
      for (int i = 0; own_pipes && i < 3; i++)
        if (fchown(stdio[i], (uid_t)op.f[0].n, (gid_t)op.f[1].n) < 0) errno = 0;
    } else if (op.code == OP_IDMAP || op.code == OP_OOM_SCORE_ADJ) {
      rq.waits = true;
    }
  }
  if (timens) rq.flags &= ~(uint64_t)CLONE_NEWTIME;
  rq.waits |= via;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
    fail->err = errno;
    return -1;
  }
  *out = (struct spawned){.pidfd = -1, .sync = pair[0], .waits = rq.waits};
  long pid = via ? fork() : clone_process(&rq, 0, &out->pidfd);
  if (pid == 0 && via) intermediate_main(&rq, pair[1]);
  if (pid == 0) child_main(&rq, pair[1]);
  int err = errno;
  close(pair[1]);
  if (pid < 0) {
    close_and_clear(&out->sync);
    *fail = (struct spawn_fail){rq.clone_step, err};
    return fail_with(err);
  }
  out->pid = via ? 0 : (pid_t)pid;
  return 0;
}

static int write_proc(int proc, pid_t pid, const char *name, const char *data, size_t len) {
  struct text path = {0};
  text_num(&path, (uint64_t)pid);
  text_add(&path, name);
  return proc_write(proc, path.s, data, len);
}

static int write_settings(const struct op *op, pid_t pid, int proc) {
  const struct field *f = op->f;
  if (op->code == OP_IDMAP) {
    if (!f[2].n && write_proc(proc, pid, "/setgroups", "deny", 4) < 0) return -1;
    if (f[0].len && write_proc(proc, pid, "/uid_map", f[0].s, f[0].len) < 0) return -1;
    if (f[1].len && write_proc(proc, pid, "/gid_map", f[1].s, f[1].len) < 0) return -1;
  } else if (op->code == OP_OOM_SCORE_ADJ) {
    struct text value = {0};
    int64_t n = (int64_t)f[0].n;
    if (n < 0) text_add(&value, "-");
    text_num(&value, (uint64_t)(n < 0 ? -n : n));
    if (write_proc(proc, pid, "/oom_score_adj", value.s, value.len) < 0 && f[1].n != 1) return -1;
  }
  return 0;
}

int spawn_settle(const struct plan *plan, struct spawned *s, int proc, struct spawn_fail *fail) {
  struct cursor c = plan_begin(plan);
  struct op op;
  *fail = (struct spawn_fail){NO_STEP, 0};
  if (s->pidfd < 0 && (s->pidfd = pidfd_open(s->pid, 0)) < 0) goto failed;
  if (!s->waits) return 0;
  while (plan_next(&c, &op) == 1) {
    fail->step = op.index;
    if (write_settings(&op, s->pid, proc) < 0) goto failed;
  }
  fail->step = NO_STEP;
  if (sync_send(s->sync, SYNC_GO, 0) == 0) return 0;
failed:
  fail->err = errno;
  return -1;
}
