/* What the parts of the launcher share. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/scoped-fd.h"

#define EXIT_ENGINE 125

/* Prints "tare: " and the parts, up to a NULL. */
void say(const char *const *parts);
#define SAY(...) say((const char *const[]){__VA_ARGS__, NULL})

/* dir followed by rest, when it fits. */
bool join(char out[PATH_MAX], const char *dir, const char *rest);

/* Decimal digits of n; returns text. */
char *number(char text[24], uint64_t n);

/* The unprivileged user this process belongs to. */
struct user {
  uid_t uid;
  gid_t gid;
  char name[256];         /* from /etc/passwd, else $USER; newuidmap has the last word */
  char home[PATH_MAX];    /* $HOME, else from /etc/passwd */
  char run_dir[PATH_MAX]; /* for what lives as long as a session: $XDG_RUNTIME_DIR or its stand-in */
  pid_t holder;           /* the process that keeps the user's namespace */
};

/* Ranges of subordinate ids. */
enum { MAX_RANGES = 32 };
struct ranges {
  unsigned count;
  struct range {
    uint32_t start, count;
  } at[MAX_RANGES];
};

/* user.c */
bool user_find(struct user *user);
/* Opens run_dir/tare, making it; -1 after saying why. */
int run_dir_open(struct user *user);
/* The ranges a file (/etc/subuid) gives to a user, in its order. Lines that are no ranges give nothing. */
void subids_read(const char *path, const struct user *user, struct ranges *out);

/* holder.c */
/* Pid of the process that holds the lock, 0 when there is none, -1 with errno. */
pid_t holder_find(int lock);
/* Makes the user's namespaces with a holder in them. `lock` is its lock file in `dir`. False after saying
 * why. */
bool holder_make(const struct user *user, int dir, int lock);
/* Starts a holder in the namespaces we are in. */
bool holder_start_here(const struct user *user, int dir, int lock);

/* userns.c */
/* Enters the user's namespaces, made when there are none. False after saying why. */
bool userns_enter(struct user *user);
