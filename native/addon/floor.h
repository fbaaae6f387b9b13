/*
 * The oldest libc the addon runs on is the pinned Node's, 2.28, whatever libc it is built with: included
 * before every source of the addon (tools/build.ts), tested by test/package/floor.test.ts. A symbol that got
 * a new version since is bound to its first one; what did not exist yet is asked of the kernel.
 */
#pragma once
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define FIRST_VERSION "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define FIRST_VERSION "GLIBC_2.17"
#endif
#define BIND(name) __asm__(".symver " #name ", " #name "@" FIRST_VERSION)

/* They moved from libpthread to libc in 2.32 and 2.34. */
BIND(pthread_attr_setstacksize);
BIND(pthread_create);
BIND(pthread_join);
BIND(pthread_kill);
BIND(pthread_once);
BIND(pthread_sigmask);

/* Inline functions of the header before 2.33, which called other names. The kernel's struct stat is libc's on
 * both architectures. */
#define fstat(fd, st) ((int)syscall(SYS_fstat, (fd), (st)))
#define fstatat(dir, name, st, flags) ((int)syscall(SYS_newfstatat, (dir), (name), (st), (flags)))
#define mknodat(dir, name, mode, device)                                                                     \
  ((int)syscall(SYS_mknodat, (dir), (name), (mode), (unsigned)(device)))
