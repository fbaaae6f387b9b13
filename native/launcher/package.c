#include "package.h"
#include "launcher.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The name that tare.sh was called by: a shell cannot pass it on as ours. */
#define CALLED_AS "TARE_CALLED_AS="
/* What the loader needs to start Node and minimal systems lack: it comes with Node's package, and with a C
 * compiler. */
#define LIBRARY "/libatomic.so.1"

static bool runs(char node[PATH_MAX], const char *dir, const char *rest) {
  return join(node, dir, rest) && access(node, X_OK) == 0;
}

/*
 * A checkout's own Node, or where npm and pnpm put the one of the package at `root`: in its node_modules, or
 * in one of the node_modules folders that it lies in, the nearest first. No other folder is asked: a
 * node_modules in /tmp may be anybody's.
 */
bool package_node(const char *root, char node[PATH_MAX]) {
  static const char modules[] = "/node_modules";
  const size_t end = sizeof modules - 1;
  if (runs(node, root, "/node_modules/" NODE_PACKAGE "/bin/node") ||
      runs(node, root, "/node_modules/@tare/" NODE_PACKAGE "/bin/node"))
    return true;
  char dir[PATH_MAX];
  if (!join(dir, root, "")) return false;
  for (char *slash; (slash = strrchr(dir, '/'));) {
    *slash = 0;
    size_t length = strlen(dir);
    if (length >= end && !strcmp(dir + length - end, modules) &&
        runs(node, dir, "/@tare/" NODE_PACKAGE "/bin/node"))
      return true;
  }
  return false;
}

const char *package_called(char **env, const char *argv0) {
  const char *called = argv0;
  for (; *env; env++)
    if (!strncmp(*env, CALLED_AS, sizeof CALLED_AS - 1)) called = *env + sizeof CALLED_AS - 1;
  const char *slash = strrchr(called, '/');
  return slash ? slash + 1 : called;
}

static bool system_has_library(void) {
#if defined(__x86_64__)
  return access("/usr/lib/x86_64-linux-gnu" LIBRARY, F_OK) == 0 || access("/usr/lib64" LIBRARY, F_OK) == 0;
#else
  return access("/usr/lib/aarch64-linux-gnu" LIBRARY, F_OK) == 0 || access("/usr/lib64" LIBRARY, F_OK) == 0;
#endif
}

/*
 * Without what was for us, and with the folder of Node's own library where the system's is not:
 * src/cli/main.ts takes that out of the environment again. A library that is there and not found costs
 * nothing.
 */
char **package_environment(char **env, const char *node) {
  static const char variable[] = "LD_LIBRARY_PATH=";
  size_t n = 0, at = 0;
  while (env[n])
    n++;
  char **out = malloc((n + 2) * sizeof *out), dir[PATH_MAX], library[PATH_MAX];
  if (!out) return NULL;
  for (size_t i = 0; i < n; i++)
    if (strncmp(env[i], CALLED_AS, sizeof CALLED_AS - 1)) out[at++] = env[i];
  if (!system_has_library() && join(dir, node, "")) {
    /* .../bin/node */
    for (int i = 0; i < 2; i++) {
      char *slash = strrchr(dir, '/');
      if (slash) *slash = 0;
    }
    if (join(library, dir, "/lib" LIBRARY) && access(library, R_OK) == 0) {
      char *entry = malloc(sizeof variable + PATH_MAX);
      if (!entry) return NULL;
      strcpy(entry, variable);
      strcat(strcat(entry, dir), "/lib");
      out[at++] = entry;
    }
  }
  out[at] = NULL;
  return out;
}
