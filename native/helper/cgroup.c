#include "cgroup.h"

#include <signal.h>
#include <sys/syscall.h>

#define MAX_DEPTH 32
/* Waiting for killed processes: from 0.25 ms, doubling, to about 6 s in all. */
#define WAIT_FIRST_NS 250000
#define WAIT_MAX_NS 100000000
#define WAIT_ROUNDS 64

struct entry {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

static int put(int dir, const char *file, const char *value) {
  SCOPED_FD fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  return fd < 0 ? -1 : write_all(fd, value, strlen(value));
}

/* Calls visit for every sub-directory, children first; the sum of what it says. */
static uint64_t each_child(int dir, int depth, uint64_t (*visit)(int parent, const char *name, int signo),
                           int signo) {
  uint64_t sum = 0;
  _Alignas(struct entry) char buf[2048];
  SCOPED_FD list = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (list < 0 || depth > MAX_DEPTH) return 0;
  for (long n; (n = syscall(SYS_getdents64, list, buf, sizeof buf)) > 0;)
    for (long at = 0; at < n;) {
      const struct entry *e = (const struct entry *)(buf + at);
      at += e->length;
      if (e->type != 4 || e->name[0] == '.') continue;
      SCOPED_FD child = openat(dir, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (child < 0) continue;
      sum += each_child(child, depth + 1, visit, signo) + visit(dir, e->name, signo);
    }
  return sum;
}

/* A signal (0: none) to every process of a list; how many there are. */
static uint64_t signal_listed(int dir, const char *procs, int signo) {
  SCOPED_FD fd = openat(dir, procs, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  char buf[2048];
  uint64_t pid = 0, count = 0;
  for (ssize_t n; fd >= 0 && (n = read(fd, buf, sizeof buf)) > 0;)
    for (ssize_t i = 0; i < n; i++) {
      if (buf[i] >= '0' && buf[i] <= '9') {
        pid = pid * 10 + (uint64_t)(buf[i] - '0');
      } else {
        if (pid > 1 && pid != (uint64_t)getpid()) kill((pid_t)pid, signo);
        count++;
        pid = 0;
      }
    }
  return count;
}

static uint64_t signal_child(int parent, const char *name, int signo) {
  struct text path = {0};
  text_add(&path, name);
  text_add(&path, "/cgroup.procs");
  return signal_listed(parent, path.s, signo);
}

static uint64_t remove_child(int parent, const char *name, int signo) {
  (void)signo;
  return unlinkat(parent, name, AT_REMOVEDIR) < 0;
}

void cgroup_thaw(const struct cgroup *cg) {
  if (cg->root >= 0 && *cg->freezer) put(cg->root, cg->freezer, "THAWED");
}

bool cgroup_frozen(const struct cgroup *cg) {
  char state[64];
  struct text file = {0};
  if (cg->root < 0) return false;
  /* Where there are both, either may hold them. */
  if (*cg->freezer && read_small(cg->root, cg->freezer, state, sizeof state) > 0 && *state != 'T')
    return true;
  if (!*cg->kill) return false;
  text_add_bytes(&file, cg->kill, strlen(cg->kill) - strlen("kill"));
  text_add(&file, "events");
  return cgroup_counter(cg->root, file.s, "frozen") == 1;
}

/* The directory that lists its processes, or -1. */
static int open_listed(const struct cgroup *cg) {
  struct text parent = {0};
  const char *slash = strrchr(cg->procs, '/');
  if (slash) text_add_bytes(&parent, cg->procs, (size_t)(slash - cg->procs));
  return openat(cg->root, slash ? parent.s : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int cgroup_signal(const struct cgroup *cg, int signo) {
  if (cg->root < 0) return fail_with(ENOENT);
  if (signo == SIGKILL && *cg->kill && put(cg->root, cg->kill, "1") == 0) return 0;
  if (!*cg->procs) return fail_with(ENOENT);
  /* Frozen processes cannot fork away from the list while it is read. */
  bool freeze = signo == SIGKILL && *cg->freezer;
  if (freeze) put(cg->root, cg->freezer, "FROZEN");
  signal_listed(cg->root, cg->procs, signo);
  SCOPED_FD dir = open_listed(cg);
  if (dir >= 0) each_child(dir, 0, signal_child, signo);
  if (freeze) put(cg->root, cg->freezer, "THAWED");
  return 0;
}

/* Removes what can be removed; the number of directories left. With deep, also what the container made below.
 */
static uint64_t remove_dirs(const struct cgroup *cg, bool deep) {
  uint64_t left = cg->dirs.n, before;
  do {
    const char *at = cg->dirs.s;
    before = left;
    left = 0;
    for (uint64_t i = 0; i < cg->dirs.n; i++) {
      const char *dir = strv_next(&at);
      if (unlinkat(cg->root, dir, AT_REMOVEDIR) == 0 || errno == ENOENT) continue;
      left++;
      SCOPED_FD fd = deep ? openat(cg->root, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
      if (fd >= 0) each_child(fd, 0, remove_child, 0);
    }
  } while (left > 0 && left < before);
  return left;
}

void cgroup_end(const struct cgroup *cg, void (*reap)(void *), void *arg) {
  if (cg->root < 0) return;
  /* A directory can only be removed when nothing lives in it: usually that is all there is to do. */
  if (remove_dirs(cg, false) == 0) return;
  struct timespec pause = {0, WAIT_FIRST_NS};
  for (int round = 0; round < WAIT_ROUNDS; round++) {
    cgroup_signal(cg, SIGKILL);
    reap(arg);
    if (remove_dirs(cg, true) == 0) return;
    nanosleep(&pause, NULL);
    if (pause.tv_nsec < WAIT_MAX_NS) pause.tv_nsec *= 2;
  }
}

void cgroup_clear(const struct cgroup *cg, void (*reap)(void *), void *arg) {
  struct timespec pause = {0, WAIT_FIRST_NS};
  if (cg->root < 0 || !*cg->procs) return;
  SCOPED_FD dir = open_listed(cg);
  for (int round = 0; dir >= 0 && round < WAIT_ROUNDS; round++) {
    if (signal_listed(cg->root, cg->procs, 0) + each_child(dir, 0, signal_child, 0) == 0) break;
    cgroup_signal(cg, SIGKILL);
    reap(arg);
    nanosleep(&pause, NULL);
    if (pause.tv_nsec < WAIT_MAX_NS) pause.tv_nsec *= 2;
  }
  /* What the container made below. */
  const char *at = cg->dirs.s;
  for (uint64_t i = 0; i < cg->dirs.n; i++) {
    SCOPED_FD fd = openat(cg->root, strv_next(&at), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) each_child(fd, 0, remove_child, 0);
  }
}

uint64_t cgroup_counter(int root, const char *file, const char *key) {
  char buf[2048];
  uint64_t value = 0;
  size_t key_len = strlen(key);
  if (root < 0 || read_small(root, file, buf, sizeof buf) < 0) return 0;
  for (char *line = buf; *line;) {
    size_t len = strcspn(line, "\n");
    if (len > key_len && !strncmp(line, key, key_len) && line[key_len] == ' ')
      parse_number(line + key_len + 1, len - key_len - 1, &value);
    line += len + (line[len] == '\n');
  }
  return value;
}
