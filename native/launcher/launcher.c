/*
 * bin/tare: finds the pinned Node beside the package and becomes it. One exec, no shell, nothing read from
 * the environment but what must not reach Node, and where an unprivileged user's things are. For such a user
 * it enters the user's namespace first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"
#include "node-flags.h"
#include "package.h"

#define ENTRY "/dist/bin/main.cjs"
#define HIDDEN_PREFIX "TARE_HIDDEN_"
#define ROOTLESS "TARE_ROOTLESS="

static const char *const node_flags[] = {NODE_FLAGS};
enum { FLAGS = sizeof node_flags / sizeof *node_flags };

char **launcher_argv;

void say(const char *const *parts) {
  if (write(2, "tare: ", 6) < 0) return;
  for (; *parts; parts++)
    if (write(2, *parts, strlen(*parts)) < 0) return;
  if (write(2, "\n", 1) < 0) return;
}

bool join(char out[PATH_MAX], const char *dir, const char *rest) {
  size_t a = strlen(dir), b = strlen(rest);
  if (a + b >= PATH_MAX) return false;
  memmove(out, dir, a);
  memcpy(out + a, rest, b + 1);
  return true;
}

char *number(char text[24], uint64_t n) {
  char digits[24];
  int at = 0, length = 0;
  do
    digits[at++] = (char)('0' + n % 10);
  while (n /= 10);
  while (at)
    text[length++] = digits[--at];
  text[length] = 0;
  return text;
}

/* Removes the last component; "/a" becomes "". False when there is none. */
static bool parent(char *path) {
  char *slash = strrchr(path, '/');
  if (!slash) return false;
  *slash = 0;
  return true;
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

static bool starts(const char *entry, const char *prefix) {
  return !strncmp(entry, prefix, strlen(prefix));
}

/* uid_map says that root here is user `uid` above. */
static bool is_mapped(const char *uid) {
  char map[256], line[64] = "0 ";
  SCOPED_FD fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : read(fd, map, sizeof map - 1);
  size_t digits = strcspn(uid, " "), at = 0;
  if (n <= 0 || !digits || digits > 10) return false;
  map[n] = 0;
  for (char *c = map; *c && *c != '\n'; c++)
    if (*c != ' ' || (at && map[at - 1] != ' ')) map[at++] = *c;
  map[at] = 0;
  memcpy(line + 2, uid, digits);
  strcpy(line + 2 + digits, " ");
  return !strncmp(map, line, strlen(line));
}

/* What root in a namespace was told of whose it is holds when the kernel says the same: else it is another's
 * word. */
static bool is_trusted(const char *entry) {
  return geteuid() == 0 && is_mapped(entry + sizeof ROOTLESS - 1);
}

/* In `podman unshare` or `buildah unshare`: their namespace is the same user's, and nobody of ours keeps it.
 */
static bool in_podman_namespace(struct user *user) {
  const char *uid = getenv("_CONTAINERS_ROOTLESS_UID"), *gid = getenv("_CONTAINERS_ROOTLESS_GID");
  if (geteuid() != 0 || !uid || strlen(uid) > 10 || !is_mapped(uid)) return false;
  *user = (struct user){.uid = (uid_t)strtoul(uid, NULL, 10), .gid = gid ? (gid_t)strtoul(gid, NULL, 10) : 0};
  return true;
}

static char *rootless_entry(const struct user *user) {
  char ids[3][24], text[128] = ROOTLESS;
  strcat(strcat(text, number(ids[0], user->uid)), " ");
  strcat(strcat(text, number(ids[1], user->gid)), " ");
  return concat(strcat(text, number(ids[2], (uint64_t)user->holder)), "");
}

/* The environment for Node: injecting variables are renamed, so that `-e NAME` can still find them. */
static char **clean_environment(char **env, const char *called, const struct user *user) {
  size_t n = 0, at = 0;
  while (env[n])
    n++;
  char **out = malloc((n + 5) * sizeof *out);
  if (!out) _exit(EXIT_ENGINE);
  for (size_t i = 0; i < n; i++) {
    if (starts(env[i], "TARE_ARGV0=") || starts(env[i], HIDDEN_PREFIX)) continue;
    if (starts(env[i], ROOTLESS) && (user || !is_trusted(env[i]))) continue;
    if (user && (starts(env[i], "XDG_RUNTIME_DIR=") || starts(env[i], "HOME="))) continue;
    out[at++] = injects(env[i]) && !keeps(env[i]) ? concat(HIDDEN_PREFIX, env[i]) : env[i];
  }
  if (called) out[at++] = concat("TARE_ARGV0=", called);
  struct user podman;
  if (!user && !getenv("TARE_ROOTLESS") && in_podman_namespace(&podman)) out[at++] = rootless_entry(&podman);
  if (user) {
    out[at++] = rootless_entry(user);
    out[at++] = concat("HOME=", user->home);
    out[at++] = concat("XDG_RUNTIME_DIR=", user->run_dir);
  }
  out[at] = NULL;
  return out;
}

/* All but what touches neither containers nor images. A wrong guess costs a namespace. */
static bool needs_namespace(char **args) {
  static const char *const plain[] = {"help",   "version", "login",     "logout", "completion",
                                      "--help", "-h",      "--version", "-v"};
  for (; *args; args++) {
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
      if (!strcmp(*args, plain[i])) return false;
    if (**args != '-') return true;
  }
  return false;
}

/*
 * Node looks for some flags of its own in the whole command line. `--` hides the user's from all but
 * --experimental-config-file and its like, with which a container's arguments would configure the Node that
 * runs outside of it: those get a byte in front, which src/cli/main.ts takes away.
 */
static char *shielded(char *arg) {
  static const char shield[] = "\001", prefix[] = "--experimental-";
  if (*arg != *shield && strncmp(arg, prefix, sizeof prefix - 1)) return arg;
  char *out = malloc(strlen(arg) + sizeof shield);
  if (!out) return NULL;
  return strcat(strcpy(out, shield), arg);
}

int main(int argc, char **argv, char **env) {
  char self[PATH_MAX], root[PATH_MAX], node[PATH_MAX], entry[PATH_MAX];
  launcher_argv = argv;
  static struct user user;
  bool rootless = geteuid() != 0 && needs_namespace(argv + (argc > 0));
  /* First: a holder that is made has what we have touched by then. */
  if (rootless && (!user_find(&user) || !userns_enter(&user))) return EXIT_ENGINE;
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) {
    SAY("Cannot find itself: /proc is not mounted");
    return EXIT_ENGINE;
  }
  self[n] = 0;
  if (!join(root, self, "") || !parent(root) || !parent(root) || !join(entry, root, ENTRY)) {
    SAY("Cannot start: its path is too long");
    return EXIT_ENGINE;
  }
  if (!package_node(root, node)) {
    SAY("Cannot start: its Node is missing; in a checkout run `npm ci`, otherwise install the package again: "
        "@tare/" NODE_PACKAGE " belongs beside ",
        root);
    return EXIT_ENGINE;
  }
  const char *called = package_called(env, argc > 0 ? argv[0] : "tare");
  char **args = malloc(((size_t)argc + FLAGS + 4) * sizeof *args);
  if (!args) return EXIT_ENGINE;
  int at = 0;
  args[at++] = node;
  for (int i = 0; i < FLAGS; i++)
    args[at++] = (char *)node_flags[i];
  args[at++] = "--";
  args[at++] = entry;
  for (int i = 1; i < argc; i++)
    if (!(args[at++] = shielded(argv[i]))) return EXIT_ENGINE;
  args[at] = NULL;
  char **clean = clean_environment(env, strcmp(called, "tare") ? called : NULL, rootless ? &user : NULL);
  if (!(clean = package_environment(clean, node))) return EXIT_ENGINE;
  execve(node, args, clean);
  SAY("Cannot start ", node, ": ", strerror(errno));
  return EXIT_ENGINE;
}
