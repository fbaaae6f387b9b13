/* Test program: compiles rules read from standard input with libseccomp, the way container runtimes do, and
 * writes the BPF program to standard output.
 *
 *   default ACTION            arch TOKEN            rule ACTION NAME COUNT (INDEX OP A B)*
 */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  scmp_filter_ctx ctx = NULL;
  char word[64], name[64];
  uint32_t action, fallback = 0;
  while (scanf("%63s", word) == 1) {
    if (!strcmp(word, "default")) {
      if (scanf("%" SCNu32, &fallback) != 1 || !(ctx = seccomp_init(fallback))) return 2;
    } else if (!strcmp(word, "arch")) {
      if (scanf("%" SCNu32, &action) != 1) return 2;
      int r = seccomp_arch_add(ctx, action);
      if (r < 0 && r != -EEXIST) return 3;
    } else {
      struct scmp_arg_cmp args[6];
      unsigned count;
      if (scanf("%" SCNu32 " %63s %u", &action, name, &count) != 3 || count > 6) return 2;
      for (unsigned i = 0; i < count; i++) {
        unsigned index, op;
        uint64_t a, b;
        if (scanf("%u %u %" SCNu64 " %" SCNu64, &index, &op, &a, &b) != 4) return 2;
        args[i] = (struct scmp_arg_cmp){index, (enum scmp_compare)op, a, b};
      }
      int number = seccomp_syscall_resolve_name(name);
      if (number == __NR_SCMP_ERROR || action == fallback) continue;
      int r = seccomp_rule_add_array(ctx, action, number, count, args);
      if (r < 0 && r != -EEXIST) {
        fprintf(stderr, "%s: %s\n", name, strerror(-r));
        return 4;
      }
    }
  }
  return seccomp_export_bpf(ctx, 1) < 0 ? 5 : 0;
}
