/* Entry: who we are is the name we are called by. */
#include "network.h"

#include <linux/close_range.h>
#include <signal.h>

int close_range(unsigned first, unsigned last, int flags);

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  if (argc == 1 && !strcmp(argv[0], "tare-network")) keeper_main();
  if (argc == 1 && !strcmp(argv[0], "tare-tie")) tie_main();
  static const char usage[] = "tare-network: started by tare only\n";
  return write(2, usage, sizeof usage - 1) < 0 ? 125 : 125;
}
