import type { StartedPod } from '../engine/pods/act-on-pod.ts';
import { listPods } from '../engine/pods/list-pods.ts';
import type { Context } from './context.ts';
import type { FlagTable, FlagValues } from './flag-table.ts';
import { forEach, type ForEachOptions } from './for-each.ts';
import { idInFile } from './id-file.ts';
import { UsageError } from './usage-error.ts';

/** The flags of verbs that act on pods. */
export const podChoice = {
  all: { type: 'switch', short: 'a', help: 'All pods' },
  latest: { type: 'switch', short: 'l', help: 'The newest pod' },
  'pod-id-file': { type: 'list', value: 'FILE', help: 'The pod whose id is in a file' },
} as const satisfies FlagTable;

/** The pods a verb acts on. Errors: UsageError for none, or several ways to name them. */
export async function choosePods(
  context: Context,
  names: readonly string[],
  flags: FlagValues<typeof podChoice>,
): Promise<readonly string[]> {
  const inFiles = flags['pod-id-file'].map((path) => idInFile('--pod-id-file', path, context.cwd));
  const named = [...names, ...inFiles];
  const ways = [named.length > 0, flags.all === true, flags.latest === true].filter(Boolean);
  if (ways.length > 1) throw new UsageError('Cannot use --all or --latest together with the names of pods');
  if (ways.length === 0) throw new UsageError('A pod is needed, or --all');
  if (named.length > 0) return named;
  const ids = (await listPods(context.engine)).map(({ id }) => id);
  return flags.all === true ? ids : ids.slice(0, 1);
}

/** Acts on each and prints its id, as podman does; the result is the exit code. Errors: UsageError. */
export async function forPods(
  context: Context,
  names: readonly string[],
  flags: FlagValues<typeof podChoice>,
  act: (name: string) => Promise<string | StartedPod>,
  options: ForEachOptions = {},
): Promise<number> {
  const chosen = await choosePods(context, names, flags);
  const print = async (name: string): Promise<void> => {
    const done = await act(name);
    const { id, warnings } = typeof done === 'string' ? { id: done, warnings: [] } : done;
    context.warn(warnings);
    context.print(`${id}\n`);
  };
  return forEach(context, chosen, print, { failed: 125, ...options });
}
