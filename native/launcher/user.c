/* Who the unprivileged user is: name, home, run directory, subordinate ids. All files may be hostile: they
 * are read capped, and a line that is not understood gives nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launcher.h"

#define MAX_FILE (1u << 20)
/* 2^32-1 is no id. */
#define MAX_ID 4294967294u

/* A file's text, at most MAX_FILE of it; to be freed. NULL when it cannot be read. */
static char *read_text(const char *path) {
  SCOPED_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return NULL;
  char *text = malloc(MAX_FILE + 1);
  size_t n = 0;
  if (!text) return NULL;
  for (ssize_t r; n < MAX_FILE && (r = read(fd, text + n, MAX_FILE - n)) > 0;)
    n += (size_t)r;
  text[n] = 0;
  /* What was cut off could read as a smaller number. */
  if (n == MAX_FILE) {
    char *last = strrchr(text, '\n');
    *(last ? last : text) = 0;
  }
  return text;
}

/* The whole field is a decimal number of at most MAX_ID. */
static bool parse_id(const char *text, uint32_t *out) {
  uint64_t n = 0;
  if (!*text || strlen(text) > 10) return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9') return false;
    n = n * 10 + (uint64_t)(*text - '0');
  }
  *out = (uint32_t)n;
  return n <= MAX_ID;
}

/* Cuts the next line off; NULL at the end. */
static char *next_line(char **at) {
  return *at && **at ? strsep(at, "\n") : NULL;
}

static bool copy(char *out, size_t size, const char *text) {
  size_t n = strlen(text);
  if (n >= size) return false;
  memcpy(out, text, n + 1);
  return true;
}

static void passwd_read(struct user *user) {
  char *text = read_text("/etc/passwd"), *at = text, *line;
  while ((line = next_line(&at))) {
    char *field[7] = {0};
    uint32_t uid;
    for (int i = 0; i < 7 && line; i++)
      field[i] = strsep(&line, ":");
    if (!field[5] || !*field[0] || !parse_id(field[2], &uid) || uid != user->uid) continue;
    if (!copy(user->name, sizeof user->name, field[0])) break;
    if (!user->home[0] && field[5][0] == '/') copy(user->home, sizeof user->home, field[5]);
    break;
  }
  free(text);
}

bool user_find(struct user *user) {
  *user = (struct user){.uid = geteuid(), .gid = getegid()};
  if (getuid() != user->uid || getgid() != user->gid) {
    SAY("Cannot start: real and effective user differ; call it as one of them");
    return false;
  }
  const char *home = getenv("HOME"), *name = getenv("USER");
  if (home && home[0] == '/' && !copy(user->home, sizeof user->home, home)) user->home[0] = 0;
  passwd_read(user);
  if (!user->name[0] && name && !strpbrk(name, ":\n")) copy(user->name, sizeof user->name, name);
  if (user->home[0]) return true;
  SAY("Cannot find this user's home: HOME is not set, and /etc/passwd has none; set HOME");
  return false;
}

/* A directory only its owner can change. */
static bool is_ours(int fd, uid_t uid, mode_t forbidden) {
  struct stat st;
  return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == uid && !(st.st_mode & forbidden);
}

/* In a directory anybody may write to: what is there may be anybody's. */
static int own_in_shared(const char *path, uid_t uid) {
  if (mkdir(path, 0700) < 0 && errno != EEXIST) return -1;
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 && is_ours(fd, uid, 077)) return fd;
  if (fd >= 0) close(fd);
  errno = EPERM;
  return -1;
}

static int session_dir(struct user *user) {
  const char *given = getenv("XDG_RUNTIME_DIR");
  char digits[24], usual[64] = "/run/user/", fallback[64] = "/tmp/podman-run-";
  strcat(usual, number(digits, user->uid));
  /* Podman's place for the same need: with it, both use one store. */
  strcat(fallback, digits);
  const char *const places[] = {given && given[0] == '/' ? given : usual, usual};
  for (size_t i = 0; i < 2; i++) {
    int fd = open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Another user's, after su: not for us. */
    if (fd >= 0 && is_ours(fd, user->uid, 022) && copy(user->run_dir, sizeof user->run_dir, places[i]))
      return fd;
    if (fd >= 0) close(fd);
  }
  copy(user->run_dir, sizeof user->run_dir, fallback);
  return own_in_shared(fallback, user->uid);
}

int run_dir_open(struct user *user) {
  SCOPED_FD session = session_dir(user);
  if (session < 0) {
    SAY("Cannot use ", user->run_dir,
        ": it is not a directory of this user alone; set XDG_RUNTIME_DIR to one that is");
    return -1;
  }
  int dir = -1;
  if (mkdirat(session, "tare", 0700) == 0 || errno == EEXIST)
    dir = openat(session, "tare", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dir >= 0 && is_ours(dir, user->uid, 022)) return dir;
  SAY("Cannot use ", user->run_dir,
      "/tare: ", dir < 0 ? strerror(errno) : "it is not a directory of this user alone");
  if (dir >= 0) close(dir);
  return -1;
}

void subids_read(const char *path, const struct user *user, struct ranges *out) {
  char *text = read_text(path), *at = text, *line;
  out->count = 0;
  while (out->count < MAX_RANGES && (line = next_line(&at))) {
    char *owner = strsep(&line, ":"), *start = strsep(&line, ":"), *size = line;
    struct range range;
    uint32_t uid;
    if (!size || !*owner || !parse_id(start, &range.start) || !parse_id(size, &range.count) || !range.count)
      continue;
    if (strcmp(owner, user->name) != 0 && !(parse_id(owner, &uid) && uid == user->uid)) continue;
    /* A range with the machine's root in it is a mistake. */
    if (!range.start || (uint64_t)range.start + range.count - 1 > MAX_ID) continue;
    out->at[out->count++] = range;
  }
  free(text);
}
