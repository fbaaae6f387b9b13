#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define BATCH_BYTES (LOG_LINE_MAX + 4096)

/* Whole records waiting for one write. */
struct batch {
  struct log *log;
  struct text head; /* "TIME stream " */
  size_t len;
  char bytes[BATCH_BYTES];
};

int log_open(struct log *log) {
  struct stat st;
  close_and_clear(&log->fd);
  const int flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
  log->fd = openat(log->dir, log->name, flags | O_CREAT | O_EXCL, 0600);
  if (log->fd < 0 && errno == EEXIST) log->fd = openat(log->dir, log->name, flags | O_NONBLOCK);
  if (log->fd < 0 || fstat(log->fd, &st) < 0) return -1;
  if (!S_ISREG(st.st_mode)) {
    close_and_clear(&log->fd);
    return fail_with(EINVAL);
  }
  log->size = (uint64_t)st.st_size;
  return 0;
}

static void numbered(struct text *t, const struct log *log, uint32_t n) {
  *t = (struct text){0};
  text_add(t, log->name);
  if (n == 0) return;
  text_add(t, ".");
  text_num(t, n);
}

static void rotate(struct log *log) {
  struct text from, to;
  for (uint32_t n = log->max_files > 1 ? log->max_files - 1 : 0; n > 0; n--) {
    numbered(&from, log, n - 1);
    numbered(&to, log, n);
    renameat(log->dir, from.s, log->dir, to.s);
  }
  if (log->max_files <= 1) unlinkat(log->dir, log->name, 0);
  log_open(log);
}

/* A record is written whole or not at all. */
static bool append(struct log *log, const char *bytes, size_t len) {
  if (log->fd < 0 && log_open(log) < 0) return false;
  ssize_t n;
  do
    n = write(log->fd, bytes, len);
  while (n < 0 && errno == EINTR);
  if (n == (ssize_t)len) {
    log->size += len;
    return true;
  }
  if (n > 0 && ftruncate(log->fd, (off_t)log->size) < 0) log->size += (uint64_t)n;
  return false;
}

static void note_dropped(struct log *log, const struct text *head) {
  struct text note = {0};
  text_add_bytes(&note, head->s, 31);
  text_add(&note, "stderr F [tare: ");
  text_num(&note, log->dropped);
  text_add(&note, " bytes of log could not be written]\n");
  if (append(log, note.s, note.len)) log->dropped = 0;
}

static void flush(struct batch *b) {
  if (b->len == 0) return;
  if (b->log->dropped) note_dropped(b->log, &b->head);
  if (b->log->dropped || !append(b->log, b->bytes, b->len)) b->log->dropped += b->len;
  b->len = 0;
}

static void record(struct batch *b, bool partial, const char *one, size_t one_len, const char *two,
                   size_t two_len) {
  struct log *log = b->log;
  if (log->journal.path) {
    enum log_stream stream = strstr(b->head.s, " stderr ") ? LOG_STDERR : LOG_STDOUT;
    if (!journal_send(&log->journal, stream, partial, one, one_len, two, two_len))
      log->dropped += one_len + two_len;
    return;
  }
  size_t size = b->head.len + 2 + one_len + two_len + 1;
  if (b->len + size > sizeof b->bytes) flush(b);
  if (log->max_bytes && log->size + b->len > 0 && log->size + b->len + size > log->max_bytes) {
    flush(b);
    if (log->size > 0) rotate(log);
  }
  char *at = b->bytes + b->len;
  memcpy(at, b->head.s, b->head.len);
  at += b->head.len;
  *at++ = partial ? 'P' : 'F';
  *at++ = ' ';
  if (one_len) memcpy(at, one, one_len);
  if (two_len) memcpy(at + one_len, two, two_len);
  at[one_len + two_len] = '\n';
  b->len += size;
}

static void begin(struct batch *b, struct log *log, enum log_stream stream) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  b->log = log;
  b->len = 0;
  b->head.len = 0;
  text_time(&b->head, &now);
  text_add(&b->head, stream == LOG_STDOUT ? " stdout " : " stderr ");
}

void log_write(struct log *log, enum log_stream stream, const char *data, size_t len) {
  if (!log->name && !log->journal.path) return;
  struct batch b;
  begin(&b, log, stream);
  while (len > 0) {
    char *held = log->line[stream].bytes;
    uint32_t held_len = log->line[stream].len;
    size_t room = LOG_LINE_MAX - held_len;
    const char *newline = memchr(data, '\n', len < room + 1 ? len : room + 1);
    size_t take = newline ? (size_t)(newline - data) : len < room ? len : room;
    /* A line that just fits is only cut when more than its newline follows. */
    if (newline || len > room) {
      record(&b, !newline, held, held_len, data, take);
      log->line[stream].len = 0;
      log->line[stream].cut = !newline;
    } else {
      if (!held && !(held = log->line[stream].bytes = malloc(LOG_LINE_MAX))) {
        log->dropped += len;
        break;
      }
      memcpy(held + held_len, data, take);
      log->line[stream].len += (uint32_t)take;
    }
    take += newline != NULL;
    data += take;
    len -= take;
  }
  flush(&b);
}

void log_end(struct log *log, enum log_stream stream) {
  if ((!log->name && !log->journal.path) || (!log->line[stream].len && !log->line[stream].cut)) return;
  struct batch b;
  begin(&b, log, stream);
  if (log->line[stream].len) record(&b, true, log->line[stream].bytes, log->line[stream].len, "", 0);
  record(&b, false, "", 0, "", 0);
  log->line[stream].len = 0;
  log->line[stream].cut = false;
  flush(&b);
}
