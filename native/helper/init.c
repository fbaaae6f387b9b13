#include "init.h"

#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define IOPRIO_WHO_PROCESS 1

int init_root(struct init *in) {
  if (in->root < 0) in->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return in->root;
}

static int step_barrier(struct init *in, const struct op *op) {
  if (sync_send(in->sync, SYNC_BARRIER, (uint32_t)op->f[0].n) < 0) return -1;
  return sync_wait_go(in->sync);
}

static int step_rlimit(const struct op *op) {
  struct rlimit limit = {op->f[1].n, op->f[2].n};
  return setrlimit((int)op->f[0].n, &limit);
}

static int run_step(struct init *in, const struct op *op) {
  const struct field *f = op->f;
  switch ((enum plan_op)op->code) {
  case OP_CGROUP_TASK:
    return write_all(f[0].fd, "0", 1);
  case OP_UNSHARE:
    return unshare((int)f[0].n);
  case OP_SETSID:
    return setsid() < 0 && getsid(0) != getpid() ? -1 : 0;
  case OP_PDEATHSIG:
    return step_pdeathsig(in, op);
  case OP_ROOT:
    return step_root(in, op);
  case OP_MOUNT_FS:
    return step_mount_fs(in, op);
  case OP_MOUNT_FD:
    return step_mount_fd(in, op);
  case OP_READONLY_PATH:
    return step_readonly_path(in, op);
  case OP_MASK:
    return step_mask(in, op);
  case OP_MKNOD:
    return step_mknod(in, op);
  case OP_SYMLINK:
    return step_symlink(in, op);
  case OP_MKDIR:
    return step_mkdir(in, op);
  case OP_PIVOT:
    return step_pivot(in);
  case OP_ROOT_ATTR:
    return step_root_attr(in, op);
  case OP_HOSTNAME:
    return sethostname(f[0].s, f[0].len);
  case OP_DOMAINNAME:
    return setdomainname(f[0].s, f[0].len);
  case OP_LOOPBACK:
    return step_loopback();
  case OP_SYSCTL:
    return step_sysctl(in, op);
  case OP_RLIMIT:
    return step_rlimit(op);
  case OP_BARRIER:
    return step_barrier(in, op);
  case OP_HOOK_HERE:
    return step_hook_here(in, op);
  case OP_KEYRING:
    return step_keyring(op);
  case OP_PERSONALITY:
    return personality(f[0].n) < 0 ? -1 : 0;
  case OP_SCHEDULER:
    return step_scheduler(op);
  case OP_IOPRIO:
    return (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, (int)f[0].n);
  case OP_TTY:
    return step_tty(in, op);
  case OP_NO_NEW_PRIVS:
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  case OP_CAPS_BOUNDING:
    return step_caps_bounding(op);
  case OP_USER:
    return step_user(in, op);
  case OP_CAPS:
    return step_caps(in, op);
  case OP_CWD:
    return step_cwd(in, op);
  case OP_SECCOMP:
    return step_seccomp(in, op);
  case OP_EXEC:
    return step_exec(in, op);
  case OP_PROC_ATTR:
    return step_proc_attr(in, op);
  case OP_MEMORY_POLICY:
    return step_memory_policy(op);
  case OP_PAUSE:
    return step_pause(in);
  default:
    return 0;
  }
}

/* What most steps are about: their first string. */
static const char *subject(const struct op *op) {
  switch (op->code) {
  case OP_MOUNT_FS:
    return op->f[4].s;
  case OP_MOUNT_FD:
    return op->f[1].s;
  case OP_SECCOMP:
  case OP_USER:
  case OP_EXEC:
    return "";
  }
  for (int i = 0; i < OP_FIELDS; i++)
    if (op->f[i].s) return op->f[i].s;
  return "";
}

void init_run(struct init *in, uint32_t from) {
  struct cursor c = plan_begin(in->plan);
  struct op op;
  umask(0);
  while (plan_next(&c, &op) == 1) {
    if (op.code < OP_FIRST_STEP || op.index < from) continue;
    in->text.len = 0;
    in->text.s[0] = 0;
    if (run_step(in, &op) == 0) continue;
    int err = errno;
    if (!in->text.len) text_add(&in->text, subject(&op));
    sync_fail(in->sync, op.index, err, in->text.s);
    _exit(op.code == OP_EXEC && err == ENOENT ? 127 : 126);
  }
  _exit(126);
}
