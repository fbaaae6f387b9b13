import type { Running } from '../engine/running.ts';
import type { attachFlags } from './attach-flags.ts';
import { parseDetachKeys } from './detach-keys.ts';
import { BROKEN_PIPE_CODE } from './failure.ts';
import type { FlagValues } from './flag-table.ts';
import { foreground } from './foreground.ts';
import { UsageError } from './usage-error.ts';

/** Which of our streams are connected. */
export interface AttachedStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** What `-a` says; nothing given: both outputs, and the input with `-i`. Errors: UsageError. */
export function streamsOf(given: readonly string[], interactive: boolean): AttachedStreams {
  if (given.length === 0) return { stdin: interactive, stdout: true, stderr: true };
  const names = given.map((name) => name.toLowerCase());
  const unknown = names.find((name) => name !== 'stdin' && name !== 'stdout' && name !== 'stderr');
  if (unknown !== undefined) throw new UsageError(`Cannot use --attach ${unknown}: expected stdin, stdout or stderr`);
  return { stdin: names.includes('stdin'), stdout: names.includes('stdout'), stderr: names.includes('stderr') };
}

/** Stays until the container ends or we leave it; the result is our exit code. `ours`: it is to go when we do. */
export type Stay = (container: Running, ours: boolean) => Promise<number>;

/**
 * Checks, before there is a container, that we can stay attached as asked. Errors: UsageError for bad detach keys, or for a terminal wanted on an
 * input that is none.
 */
export async function stayAttached(
  streams: AttachedStreams,
  terminal: boolean,
  flags: FlagValues<typeof attachFlags>,
): Promise<Stay> {
  const detachKeys = parseDetachKeys(flags['detach-keys']);
  if (terminal && streams.stdin) {
    const { inputIsNoTerminal } = await import('./terminal.ts');
    if (inputIsNoTerminal()) throw new UsageError('the input device is not a TTY');
  }
  return async (container, ours) => {
    const end = await foreground(container, {
      ...streams,
      terminal,
      forwardSignals: flags['sig-proxy'] !== false,
      detachKeys,
    });
    switch (end.kind) {
      case 'exited':
        await container.finish();
        return end.code;
      case 'detached':
        container.close();
        return 0;
      case 'broken-pipe':
        // As a program on its own would die of SIGPIPE: a throw-away container goes with its reader, one that is kept goes on.
        if (ours) {
          await container.kill(SIGKILL).catch(() => {});
          await container.exit;
          await container.finish();
        }
        container.close();
        return BROKEN_PIPE_CODE;
    }
  };
}

const SIGKILL = 9;
