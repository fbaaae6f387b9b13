import type { FdLike } from '../sys/fd.ts';
import { startTied } from '../sys/tied-program.ts';

/**
 * Starts pasta (https://passt.top) for a network namespace: it carries the namespace's packets to sockets of the one we are in, as long as the other end of `lifeline`, a connected socket, is open
 * somewhere. Returns when the namespace's link is set up.
 *
 * Errors: unavailable, with what pasta said.
 */
export async function startPasta(
  program: string,
  netns: FdLike,
  lifeline: FdLike,
  options: readonly string[],
): Promise<void> {
  await startTied(lifeline, netns, (paths) => [
    program,
    ...['--foreground', '--quiet', '--config-net', ...options],
    ...['--netns', paths.netns, '--pid', paths.ready],
  ]);
}
