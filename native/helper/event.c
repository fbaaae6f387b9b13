/* Events for the spool that every door reads (src/engine/emit.ts): one appended line each, bounded by a
 * rotation. */
#include <stdio.h>
#include <sys/stat.h>

#include "monitor.h"

#define EVENT_MAX 4096
#define EVENTS_MAX_BYTES (1024 * 1024)
#define EVENTS_NAME "log"
#define OLD_EVENTS_NAME "log.1"

/* Two that want it at once: one does it. */
static void rotate(int dir, ino_t inode) {
  struct stat now;
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  SCOPED_FD fd = openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) < 0) return;
  if (fstatat(dir, EVENTS_NAME, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == inode)
    renameat(dir, EVENTS_NAME, dir, OLD_EVENTS_NAME);
}

static void add(char *line, size_t *len, const char *s) {
  size_t more = strlen(s);
  if (*len + more > EVENT_MAX) more = EVENT_MAX - *len;
  memcpy(line + *len, s, more);
  *len += more;
}

void event_emit(const struct monitor *m, const char *action, const struct text *attributes) {
  char line[EVENT_MAX];
  size_t len = 0;
  struct timespec now;
  struct text time = {0};
  struct stat st;
  if (m->events.dir < 0) return;
  int saved = errno;
  clock_gettime(CLOCK_REALTIME, &now);
  text_time(&time, &now);
  const char *attribute_bytes = attributes ? attributes->s : "";
  const char *parts[] = {"{\"time\":\"",  time.s, "\",\"action\":\"", action, "\",\"attributes\":{",
                         attribute_bytes, "},",   m->events.who,      "}\n"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    add(line, &len, parts[i]);
  SCOPED_FD fd =
      openat(m->events.dir, EVENTS_NAME, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd >= 0 && write(fd, line, len) == (ssize_t)len && fstat(fd, &st) == 0 && st.st_size > EVENTS_MAX_BYTES)
    rotate(m->events.dir, st.st_ino);
  errno = saved;
}

void event_attribute(struct text *t, const char *name, const char *value) {
  text_add(t, t->len ? ",\"" : "\"");
  text_add(t, name);
  text_add(t, "\":\"");
  text_add(t, value);
  text_add(t, "\"");
}

void event_number(struct text *t, const char *name, uint64_t n) {
  struct text value = {0};
  text_num(&value, n);
  event_attribute(t, name, value.s);
}

void event_exec(const struct monitor *m, const char *action, const struct session *s) {
  struct text attributes = {0};
  event_attribute(&attributes, "execID", s->id);
  if (s->exited) event_number(&attributes, "exitCode", s->exit.code);
  event_emit(m, action, &attributes);
}

void event_signal(const struct monitor *m, uint32_t signo) {
  struct text attributes = {0};
  event_number(&attributes, "signal", signo);
  event_emit(m, "kill", &attributes);
}
