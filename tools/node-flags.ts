/**
 * What the launcher tells Node. V8 accepts a code cache only from a process with the same flags, so the launcher (by build/gen/node-flags.h) and the warm-up read them here.
 * Each lowers start-up, quietens Node or closes a door; none changes what a program means.
 */
export const nodeFlags: readonly string[] = [
  '--disable-warning=ExperimentalWarning',
  // Otherwise whoever may signal us starts a debugger that listens on a port.
  '--disable-sigusr1',
  '--min-semi-space-size=16',
];
