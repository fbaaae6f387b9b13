/* Processes: the helper's monitor as a detached grandchild, and a mount made in a namespace of its own. */
#include "addon.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { max_fds = 256 };

/* Shared with both children: they run in our memory while we are suspended. */
struct spawn {
  int executable;
  char name[64];
  int fds[max_fds];
  int count;
  uint32_t separate;
  pid_t pid;
  int error;
};

/* Every signal to its default, whatever Node handles or ignores; then none blocked. */
static void reset_signals(void) {
  /* The kernel's struct sigaction, all zero: SIG_DFL, no flags, empty mask. */
  const unsigned long action[8] = {0};
  for (int signal = 1; signal <= 64; signal++)
    syscall(SYS_rt_sigaction, signal, action, NULL, 8);
  const uint64_t none = 0;
  tare_restore_signals(&none);
}

/* fds become 3, 4, ..., the executable the number after them; 0 to 2 /dev/null; all others are closed. */
static int arrange_fds(struct spawn *s) {
  const int last = 3 + s->count;
  /* Everything first moves above the target range: no dup3 below can then overwrite a source. */
  for (int i = 0; i < s->count; i++)
    if ((s->fds[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, last + 1)) < 0) return -errno;
  int executable = fcntl(s->executable, F_DUPFD_CLOEXEC, last + 1);
  if (executable < 0) return -errno;
  int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (opened < 0) return -errno;
  int null = fcntl(opened, F_DUPFD_CLOEXEC, last + 1);
  if (null < 0) return -errno;
  for (int i = 0; i < 3; i++)
    if (dup2(null, i) < 0) return -errno;
  for (int i = 0; i < s->count; i++)
    if (dup2(s->fds[i], 3 + i) < 0) return -errno;
  if (dup3(executable, last, O_CLOEXEC) < 0 || syscall(SYS_close_range, last + 1, ~0u, 0) < 0) return -errno;
  s->executable = last;
  return 0;
}

static int grandchild(void *arg) {
  struct spawn *s = arg;
  if (setsid() < 0 || chdir("/") < 0)
    s->error = errno;
  else {
    reset_signals();
    char *const argv[] = {s->name, NULL};
    /* Nothing but room: the monitor writes its title over argv and environment. */
    static char room[] =
        "TARE_TITLE=................................................................................";
    char *const env[] = {room, NULL};
    syscall(SYS_execveat, s->executable, "", argv, env, AT_EMPTY_PATH);
    s->error = errno;
  }
  _exit(127);
}

/* What this process opens from now on, its children do not have: a lock is then held by nobody else. */
static void say_separate(struct spawn *s) {
  __atomic_store_n(&s->separate, 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, &s->separate, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int intermediate(void *arg) {
  struct spawn *s = arg;
  char stack[16 * 1024] __attribute__((aligned(16)));
  int error = arrange_fds(s);
  say_separate(s);
  if (error)
    s->error = -error;
  else if ((s->pid = clone(grandchild, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, s)) < 0)
    s->error = errno;
  else if (s->error) /* It never became a program: leave no zombie to whoever inherits it. */
    waitpid(s->pid, NULL, __WALL);
  else
    tare_has_orphan = true;
  _exit(0);
}

/* A spawn on its way: the clones and the exec take a millisecond, in which their caller has other things to
 * do. */
struct coming {
  struct spawn spawn;
  pthread_t thread;
  bool joined;
};

static void *spawn_now(void *arg) {
  struct spawn *s = arg;
  int error = tare_vfork(intermediate, s, 0);
  if (error) s->error = -error;
  say_separate(s);
  return NULL;
}

static void wait_for(struct coming *c) {
  if (!c->joined) pthread_join(c->thread, NULL);
  c->joined = true;
}

static void forget(napi_env env, void *data, void *hint) {
  (void)env, (void)hint;
  wait_for(data);
  free(data);
}

static int begin_spawn(struct coming *c) {
  pthread_attr_t attr;
  uint64_t saved;
  int error = pthread_attr_init(&attr);
  if (error) return -error;
  pthread_attr_setstacksize(&attr, 64 * 1024);
  tare_block_signals(&saved);
  error = pthread_create(&c->thread, &attr, spawn_now, &c->spawn);
  tare_restore_signals(&saved);
  pthread_attr_destroy(&attr);
  return -error;
}

/* spawn(executable, name, Int32Array fds): a handle for spawned, or -errno. The descriptors stay open until
 * then. */
static napi_value spawn(napi_env env, napi_callback_info info) {
  napi_value args[3], handle;
  int64_t executable;
  void *fds;
  size_t bytes;
  struct coming *c = calloc(1, sizeof(*c));
  if (!c) return tare_number(env, -ENOMEM);
  int error = -EINVAL;
  if (tare_args(env, info, args, 3) && tare_int(env, args[0], &executable) == 0 &&
      tare_string(env, args[1], c->spawn.name, sizeof(c->spawn.name)) == 0 &&
      tare_bytes(env, args[2], &fds, &bytes) == 0 && bytes <= sizeof(c->spawn.fds) &&
      bytes % sizeof(int) == 0) {
    if (bytes) memcpy(c->spawn.fds, fds, bytes);
    c->spawn.count = (int)(bytes / sizeof(int));
    c->spawn.executable = (int)executable;
    error = begin_spawn(c);
  }
  if (!error && napi_create_external(env, c, forget, NULL, &handle) == napi_ok) return handle;
  if (!error) wait_for(c);
  free(c);
  return tare_number(env, error ? error : -ENOMEM);
}

static struct coming *coming_of(napi_env env, napi_callback_info info) {
  napi_value handle;
  void *data = NULL;
  if (!tare_args(env, info, &handle, 1) || napi_get_value_external(env, handle, &data) != napi_ok)
    return NULL;
  return data;
}

/* spawnSeparate(handle): waits until nothing that is opened from now on is open in the new process, too. 0.
 */
static napi_value spawn_separate(napi_env env, napi_callback_info info) {
  struct coming *c = coming_of(env, info);
  if (!c) return tare_number(env, -EINVAL);
  while (!__atomic_load_n(&c->spawn.separate, __ATOMIC_SEQ_CST))
    syscall(SYS_futex, &c->spawn.separate, FUTEX_WAIT, 0, NULL, NULL, 0);
  return tare_number(env, 0);
}

/* spawned(handle): the pid of the grandchild, or -errno; waits until it executes its program. */
static napi_value spawned(napi_env env, napi_callback_info info) {
  struct coming *c = coming_of(env, info);
  if (!c) return tare_number(env, -EINVAL);
  wait_for(c);
  return tare_number(env, c->spawn.error ? -c->spawn.error : c->spawn.pid);
}

struct elsewhere {
  char type[64], source[PATH_MAX], *options;
  unsigned long flags;
  const int *handles, *trees;
  size_t handle_count, tree_count;
  int result;
};

/* Makes an O_PATH descriptor of our namespace one of this namespace: a mount takes no directory of another.
 */
static int reopen_here(int handle) {
  char link[32], path[PATH_MAX];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
  ssize_t length = readlink(link, path, sizeof(path) - 1);
  if (length < 0) return -errno;
  path[length] = '\0';
  int here = open(path, O_PATH | O_CLOEXEC);
  if (here < 0) return -errno;
  int error = dup3(here, handle, O_CLOEXEC) < 0 ? -errno : 0;
  close(here);
  return error;
}

/* Mounts that belong to no namespace cannot be layers (before Linux 6.15): here they are on top of the root,
 * which nobody looks up, and are named by their descriptors. */
static int attach_trees(const struct elsewhere *m) {
  for (size_t i = 0; i < m->tree_count; i++)
    if (syscall(SYS_move_mount, m->trees[i], "", AT_FDCWD, "/", 4 /* MOVE_MOUNT_F_EMPTY_PATH */) < 0)
      return -errno;
  return 0;
}

static int mount_elsewhere(void *arg) {
  struct elsewhere *m = arg;
  /* Any directory will do: nobody else sees this namespace. */
  const char *at = "/proc";
  m->result = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : attach_trees(m);
  for (size_t i = 0; i < m->handle_count && !m->result; i++)
    m->result = reopen_here(m->handles[i]);
  if (m->result) _exit(0);
  if (mount(m->source, at, m->type, m->flags, m->options) < 0)
    m->result = -errno;
  else if ((m->result = (int)syscall(SYS_open_tree, AT_FDCWD, at, 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC)) < 0)
    m->result = -errno;
  _exit(0);
}

/*
 * mountElsewhere(type, source, flags, options, handles, trees): the fd of a detached mount made by mount(2)
 * in a throw-away mount namespace, for file systems whose options the kernel's mount API does not take whole.
 * `handles` are directories that the options name as /proc/self/fd/N, `trees` detached mounts that they name
 * so.
 */
static napi_value mount_detached(napi_env env, napi_callback_info info) {
  napi_value args[6];
  struct elsewhere m = {0};
  int64_t flags;
  char options[PATH_MAX + 8];
  void *handles, *trees;
  size_t handles_bytes, trees_bytes;
  if (!tare_args(env, info, args, 6) || tare_bytes(env, args[4], &handles, &handles_bytes) < 0 ||
      tare_bytes(env, args[5], &trees, &trees_bytes) < 0 ||
      tare_string(env, args[0], m.type, sizeof(m.type)) < 0 ||
      tare_string(env, args[1], m.source, sizeof(m.source)) < 0 || tare_int(env, args[2], &flags) < 0)
    return tare_number(env, -EINVAL);
  int error = tare_string(env, args[3], options, sizeof(options));
  if (error) return tare_number(env, error);
  m.flags = (unsigned long)flags;
  m.options = options;
  m.handles = handles;
  m.handle_count = handles_bytes / sizeof(int);
  m.trees = trees;
  m.tree_count = trees_bytes / sizeof(int);
  error = tare_vfork(mount_elsewhere, &m, CLONE_NEWNS | CLONE_FILES);
  return tare_number(env, error ? error : m.result);
}

TARE_FUNCTIONS(spawn, {"spawn", spawn}, {"spawnSeparate", spawn_separate}, {"spawned", spawned},
               {"mountElsewhere", mount_detached})
