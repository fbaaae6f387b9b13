/* The settings of the monitor's Plan: socket, log, limits; and which descriptors it keeps. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "monitor.h"

static int listen_on(struct monitor *m, const struct op *op) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct text path = {0};
  text_add(&path, "/proc/self/fd/");
  text_num(&path, (uint64_t)op->f[0].fd);
  text_add(&path, "/");
  text_add(&path, op->f[1].s);
  if (path.len >= sizeof address.sun_path) return fail_with(ENAMETOOLONG);
  memcpy(address.sun_path, path.s, path.len + 1);
  m->listen_dir = op->f[0].fd;
  m->listen_name = op->f[1].s;
  m->listener = (struct source){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
                                .kind = SOURCE_LISTEN};
  /* The mode is that of the socket inode from its birth. */
  if (m->listener.fd < 0 || fchmod(m->listener.fd, 0600) < 0) return -1;
  unlinkat(m->listen_dir, m->listen_name, 0);
  if (bind(m->listener.fd, (struct sockaddr *)&address, sizeof address) < 0) return -1;
  if (listen(m->listener.fd, 128) < 0) return -1;
  return source_arm(m, &m->listener, EPOLLIN);
}

/* argv and environment lie side by side: the title may use both (nobody needs ours any more). */
static void set_title(char **argv, const struct field *title) {
  char *end = argv[0];
  for (char **at = argv; *at; at++)
    end = *at + strlen(*at) + 1;
  for (char **at = environ; *at; at++)
    if (*at == end) end += strlen(*at) + 1;
  size_t room = (size_t)(end - argv[0]), len = title->len < room ? title->len : room - 1;
  memset(argv[0], 0, room);
  memcpy(argv[0], title->s, len);
  prctl(PR_SET_NAME, "tare-monitor", 0, 0, 0);
}

static int apply_settings(struct monitor *m) {
  struct cursor c = plan_begin(&m->main.plan);
  struct op op;
  while (plan_next(&c, &op) == 1) {
    const struct field *f = op.f;
    m->main.fail.step = op.index;
    switch (op.code) {
    case OP_STATE:
      m->state_dir = f[0].fd;
      m->life = f[1].fd;
      m->is_volatile = f[2].n == 1;
      break;
    case OP_STDIO:
      m->main.mode = (uint32_t)f[0].n;
      m->main.stdin_open = f[1].n == 1;
      m->main.once = f[2].n == 1;
      break;
    case OP_STOP:
      m->stop_signal = (uint32_t)f[0].n;
      m->stop_timeout_ms = (uint32_t)f[1].n;
      break;
    case OP_CGROUP:
      m->cgroup = (struct cgroup){f[0].fd, f[1], f[2].s, f[3].s, f[4].s};
      break;
    case OP_AUTOSTART:
      m->autostart = f[0].n == 1;
      break;
    case OP_OWNER:
      m->lease = f[0].n == 1;
      break;
    case OP_ROOTFS:
      m->rootfs = f[0].fd;
      break;
    case OP_TITLE:
      set_title(m->argv, &f[0]);
      break;
    case OP_LOG:
      m->log.dir = f[0].fd;
      m->log.name = f[1].s;
      m->log.max_bytes = f[2].n;
      m->log.max_files = (uint32_t)f[3].n;
      if (m->main.mode == PLAN_STDIO_FDS || m->main.mode == PLAN_STDIO_NULL) break;
      if (log_open(&m->log) < 0 && errno != ENOSPC) return -1;
      break;
    case OP_LISTEN:
      if (listen_on(m, &op) < 0) return -1;
      break;
    case OP_EVENTS:
      m->events = (struct events){f[0].fd, f[1].s};
      break;
    case OP_RESTART:
      m->restart = (struct restart){
          .able = true, .policy = (uint32_t)f[0].n, .max = (uint32_t)f[1].n, .count = (uint32_t)f[2].n};
      break;
    case OP_LIMIT:
      m->limit_ms = (uint32_t)f[0].n;
      break;
    case OP_JOURNAL:
      m->log.journal = (struct journal){f[0].s, f[1].s, -1};
      if (journal_open(&m->log.journal) < 0) return -1;
      break;
    case OP_HEALTH:
      if (health_configure(m, &op) < 0) return -1;
    }
  }
  m->main.fail.step = NO_STEP;
  return m->restart.able ? nest_make(m) : 0;
}

int monitor_configure(struct monitor *m, const int *fds, uint32_t count) {
  static int table[PLAN_MAX_FDS];
  memcpy(table, fds + 1, (count - 1) * sizeof *table);
  int r = plan_load(&m->main.plan, fds[0], table, count - 1, PLAN_FOR_MONITOR);
  if (r < 0) text_add(&m->main.fail.text, "malformed Plan");
  if (r == 0) r = apply_settings(m);
  if (r < 0) m->main.fail.err = errno;
  return r;
}

void monitor_leave_session(const struct monitor *m) {
  struct cursor c = plan_begin(&m->main.plan);
  struct op op;
  while (plan_next(&c, &op) == 1)
    if (op.code == OP_LEAVE && write(op.f[0].fd, "0", 1) < 0) errno = 0;
}

/* The container's own descriptors (mounts, namespaces) must not be held open here, unless it may start again.
 */
void monitor_close_plan_fds(struct monitor *m) {
  if (m->restart.able) return nest_drop_clones(m);
  bool keep[PLAN_MAX_FDS] = {0};
  struct cursor c = plan_begin(&m->main.plan);
  struct op op;
  while (plan_next(&c, &op) == 1)
    for (int i = 0; i < OP_FIELDS && op.code < OP_FIRST_STEP; i++) {
      bool ours = op.code == OP_STATE || op.code == OP_LISTEN || op.code == OP_LOG || op.code == OP_CGROUP ||
                  op.code == OP_OOM || op.code == OP_ROOTFS || op.code == OP_EVENTS ||
                  op.code == OP_HEALTH_FD || op.code == OP_HOLD;
      for (uint32_t at = 0; ours && at < m->main.plan.nfds; at++)
        keep[at] |= op.f[i].fd == m->main.plan.fds[at];
    }
  for (uint32_t i = 0; i < m->main.plan.nfds; i++)
    if (!keep[i]) close(m->main.plan.fds[i]);
}
