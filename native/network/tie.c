/*
 * Ties a program to something: it runs as long as the other end of a socket is open somewhere. Whoever is
 * killed, the program does not stay: it dies with us, and we end when the socket does.
 */
#include "network.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/capabilities.h"

/* Ours by number; the program finds them as /proc/PID/fd/N. */
enum { FD_LIFELINE = 3, FD_NETNS, FD_TALK, FD_WORDS, FD_READY };
enum { MAX_BYTES = 65536, MAX_WORDS = 4096 };

static bool read_all(int fd, void *into, size_t size) {
  for (char *at = into; size > 0;) {
    ssize_t n = read(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    size -= (size_t)n;
  }
  return true;
}

/* The program's words, each with its NUL; the last of the array is NULL. */
static char **read_words(void) {
  uint32_t size;
  if (!read_all(FD_TALK, &size, sizeof size) || size == 0 || size > MAX_BYTES) return NULL;
  char *text = malloc(size), **words = calloc(MAX_WORDS + 1, sizeof *words);
  if (!text || !words || !read_all(FD_TALK, text, size) || text[size - 1] != 0) return NULL;
  unsigned count = 0;
  for (char *at = text; at < text + size && count < MAX_WORDS; at += strlen(at) + 1)
    words[count++] = at;
  return words;
}

static _Noreturn void become(char **words, int go, pid_t parent) {
  char byte, *const env[] = {NULL};
  signal(SIGPIPE, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  /* It may look into us only when we can do no more than it can. */
  while (read(go, &byte, 1) < 0 && errno == EINTR)
    ;
  dup2(FD_WORDS, 2);
  execve(words[0], words, env);
  _exit(127);
}

_Noreturn void tie_main(void) {
  char **words = read_words();
  int go[2];
  pid_t self = getpid();
  if (!words || pipe2(go, O_CLOEXEC) < 0) _exit(125);
  pid_t pid = fork();
  if (pid < 0) _exit(125);
  if (pid == 0) {
    close(go[1]);
    become(words, go[0], self);
  }
  close(go[0]);
  if (keep_capabilities(0) < 0) _exit(125);
  close(go[1]);
  int ended = (int)syscall(SYS_pidfd_open, pid, 0);
  struct pollfd wait[] = {{.fd = FD_LIFELINE, .events = POLLRDHUP}, {.fd = ended, .events = POLLIN}};
  while (poll(wait, 2, -1) < 0 || !(wait[0].revents | wait[1].revents))
    ;
  kill(pid, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
    ;
  _exit(0);
}
