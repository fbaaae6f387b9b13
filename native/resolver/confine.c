/* What is left of root: the right to listen on port 53; the keeper also has that to the packet filter. */
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/capabilities.h"
#include "resolver.h"

/* Nobody else's: above what systems give to people and services (systemd: up to 65519), below `nobody`. */
enum { RESOLVER_ID = 65530 };

/* A user who has one id alone is nobody else already, and stays that. */
static int become_nobody(void) {
  if (setgroups(0, NULL) < 0 && errno != EPERM) return -1;
  if (setresgid(RESOLVER_ID, RESOLVER_ID, RESOLVER_ID) < 0) return errno == EINVAL ? 0 : -1;
  return setresuid(RESOLVER_ID, RESOLVER_ID, RESOLVER_ID);
}

int confine_keeper(void) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return -1;
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || become_nobody() < 0) return -1;
  if (keep_capabilities(1u << CAP_NET_BIND_SERVICE | 1u << CAP_NET_ADMIN) < 0 ||
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return -1;
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* All that the worker calls; the C library's allocator among it. */
static const uint16_t calls[] = {
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_open
    SYS_open,
#endif
    SYS_accept4,
    SYS_bind,
    SYS_brk,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_restart_syscall,
    SYS_close,
    SYS_connect,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_exit_group,
    SYS_fstat,
    SYS_newfstatat,
    SYS_getrandom,
    SYS_getsockopt,
    SYS_ioctl,
    SYS_listen,
    SYS_lseek,
    SYS_madvise,
    SYS_mmap,
    SYS_mremap,
    SYS_mprotect,
    SYS_munmap,
    SYS_openat,
    SYS_read,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendmsg,
    SYS_sendto,
    SYS_setsockopt,
    SYS_inotify_init1,
    SYS_inotify_add_watch,
    SYS_socket,
    SYS_write,
    SYS_rt_sigreturn,
};
enum { CALLS = sizeof calls / sizeof *calls };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

/* A sanitizer calls what we do not. */
#ifdef __SANITIZE_ADDRESS__
int confine_worker(void) {
  return CALLS ? keep_capabilities(1u << CAP_NET_BIND_SERVICE) : -1;
}
#else
int confine_worker(void) {
  struct sock_filter filter[CALLS * 2 + 5];
  if (keep_capabilities(1u << CAP_NET_BIND_SERVICE) < 0) return -1;
  size_t n = 0;
  filter[n++] = (struct sock_filter)LOAD(arch);
  filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
  filter[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
  filter[n++] = (struct sock_filter)LOAD(nr);
  for (size_t i = 0; i < CALLS; i++) {
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
    filter[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
  }
  filter[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
  struct sock_fprog program = {(unsigned short)n, filter};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}
#endif
