/* Test program: installs the filter on standard input, then reports how some calls answer (0 or errno), one
 * number a line. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter program[4096];

static void report(long result) {
  printf("%d\n", result < 0 ? errno : 0);
}

int main(void) {
  size_t bytes = fread(program, 1, sizeof program, stdin);
  struct sock_fprog prog = {(unsigned short)(bytes / sizeof *program), program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
    return 2;
  report(syscall(SYS_getpid));
  report(syscall(SYS_kexec_load, 0, 0, 0, 0));
  report(syscall(SYS_acct, "/nonexistent/acct"));
  report(syscall(SYS_personality, 0xffffffffL));
  report(syscall(SYS_personality, 0x4000000L));
  report(syscall(SYS_socket, 16, 3, 9));
  report(syscall(467, -1, 0, 0, 0, 0)); /* open_tree_attr: newer than the profile */
  report(syscall(SYS_add_key, 0, 0, 0, 0, 0));
  return 0;
}
