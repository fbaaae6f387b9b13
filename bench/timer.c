/*
 * Runs commands and tells how long they took, so that neither Node's event loop nor its heap is in the
 * figures.
 *
 *   timer ERRORS       (ERRORS: the file that gets the commands' stderr)
 *
 * Request on stdin:  "COUNT PARALLEL BYTES\n", then BYTES of NUL-terminated arguments. "%n" in an argument
 * becomes the number of the start, counted over the timer's whole life. Answer on stdout: "NANOSECONDS
 * STATUS\n": from before the first start until the last command was reaped, and the highest wait status (0:
 * all succeeded).
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGS = 256, MAX_BYTES = 64 * 1024 };

extern char **environ;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *step) {
  fprintf(stderr, "timer: %s: %s\n", step, strerror(errno));
  exit(1);
}

/* Writes `arg` with every %n replaced. The buffer belongs to the caller. */
static char *numbered(const char *arg, unsigned long number) {
  char *out = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&out, &size);
  if (!stream) die("open_memstream");
  for (const char *p = arg; *p; p++) {
    if (p[0] == '%' && p[1] == 'n') {
      fprintf(stream, "%lu", number);
      p++;
    } else {
      fputc(*p, stream);
    }
  }
  if (fclose(stream)) die("numbered");
  return out;
}

static void start(char *const args[], unsigned long number, const posix_spawn_file_actions_t *actions) {
  char *argv[MAX_ARGS + 1] = {0};
  for (int i = 0; args[i]; i++)
    argv[i] = numbered(args[i], number);
  pid_t pid;
  int error = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ);
  if (error) {
    errno = error;
    die(argv[0]);
  }
  for (int i = 0; argv[i]; i++)
    free(argv[i]);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: timer ERRORS\n");
    return 2;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);

  static char bytes[MAX_BYTES + 1];
  unsigned long number = 0;
  char line[128];
  while (fgets(line, sizeof line, stdin)) {
    unsigned long count, parallel, length;
    if (sscanf(line, "%lu %lu %lu", &count, &parallel, &length) != 3 || length == 0 || length > MAX_BYTES ||
        parallel == 0 || fread(bytes, 1, length, stdin) != length || bytes[length - 1] != '\0') {
      fprintf(stderr, "timer: bad request\n");
      return 2;
    }
    char *args[MAX_ARGS + 1] = {0};
    int n = 0;
    for (char *p = bytes; p < bytes + length && n < MAX_ARGS; p += strlen(p) + 1)
      args[n++] = p;

    int worst = 0;
    unsigned long started = 0, running = 0;
    int64_t begin = now();
    while (started < count || running > 0) {
      if (started < count && running < parallel) {
        start(args, number++, &actions);
        started++;
        running++;
        continue;
      }
      int status;
      if (waitpid(-1, &status, 0) < 0) die("waitpid");
      running--;
      if (status > worst) worst = status;
    }
    printf("%lld %d\n", (long long)(now() - begin), worst);
    fflush(stdout);
  }
  return 0;
}
