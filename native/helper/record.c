#include "record.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define STARTTIME_FIELD 22

void exit_info_status(struct exit_info *info, int status) {
  info->signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
  info->code = info->signal ? 128 + info->signal : (uint32_t)WEXITSTATUS(status);
  clock_gettime(CLOCK_REALTIME, &info->finished);
}

void exit_info_time(struct text *t, const struct timespec *at) {
  if (at->tv_sec)
    text_time(t, at);
  else
    text_add(t, "0001-01-01T00:00:00Z");
}

#define RESERVED_EXIT ".exit.tmp"

void record_reserve(int dir) {
  static const char room[256];
  SCOPED_FD fd = openat(dir, RESERVED_EXIT, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || write_all(fd, room, sizeof room) < 0) errno = 0;
}

int record_replace(int dir, const char *name, const char *content, size_t len, bool is_volatile) {
  struct text temp = {0};
  text_add(&temp, ".");
  text_add(&temp, name);
  text_add(&temp, ".tmp");
  /* Written over what is there: it may be the space that was reserved. */
  SCOPED_FD fd = openat(dir, temp.s, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || write_all(fd, content, len) < 0) return -1;
  if (ftruncate(fd, (off_t)len) < 0) return -1;
  if (!is_volatile && fdatasync(fd) < 0) return -1;
  if (renameat(dir, temp.s, dir, name) < 0) return -1;
  return is_volatile ? 0 : fsync(dir);
}

int record_exit(int base, const char *subdir, const char *name, const struct exit_info *info,
                bool is_volatile) {
  struct text t = {0};
  text_add(&t, "{\"code\":");
  text_num(&t, info->code);
  text_add(&t, ",\"signal\":");
  text_num(&t, info->signal);
  text_add(&t, info->oom ? ",\"oom\":true,\"startedAt\":\"" : ",\"oom\":false,\"startedAt\":\"");
  exit_info_time(&t, &info->started);
  text_add(&t, "\",\"finishedAt\":\"");
  text_time(&t, &info->finished);
  text_add(&t, info->stopped ? "\",\"stopped\":true}\n" : "\"}\n");
  if (subdir && mkdirat(base, subdir, 0700) < 0 && errno != EEXIST) return -1;
  SCOPED_FD dir = openat(base, subdir ? subdir : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return dir < 0 ? -1 : record_replace(dir, name, t.s, t.len, is_volatile);
}

int record_pid(int dir, int proc, pid_t pid) {
  struct text path = {0}, line = {0};
  char stat[1024];
  text_num(&path, (uint64_t)pid);
  text_add(&path, "/stat");
  if (read_small(proc, path.s, stat, sizeof stat) < 0) return -1;
  /* The command name may hold anything, so count from its closing parenthesis: state is field 3. */
  char *at = strrchr(stat, ')');
  for (int field = 2; at && field < STARTTIME_FIELD; field++) {
    at = strchr(at, ' ');
    if (at) at++;
  }
  if (!at) return fail_with(EINVAL);
  text_num(&line, (uint64_t)pid);
  text_add(&line, " ");
  text_add_bytes(&line, at, strcspn(at, " \n"));
  text_add(&line, "\n");
  return record_replace(dir, "pid", line.s, line.len, true);
}
