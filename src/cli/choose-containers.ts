import { type ContainerSummary, collectedContainers } from '../engine/list.ts';
import type { Context } from './context.ts';
import { UsageError } from './usage-error.ts';

/** The containers a verb acts on: those named, or with a flag like `--all` those it `wants`, by name. Errors: UsageError for both, or neither. */
export async function chooseContainers(
  context: Context,
  names: readonly string[],
  flag: { readonly name: string; readonly given: boolean; readonly wants: (container: ContainerSummary) => boolean },
): Promise<readonly string[]> {
  if (flag.given && names.length > 0)
    throw new UsageError(`Cannot use --${flag.name} together with the names of containers`);
  if (!flag.given && names.length === 0) throw new UsageError(`A container is needed, or --${flag.name}`);
  if (!flag.given) return names;
  return (await collectedContainers(context.engine)).filter(flag.wants).map(({ name }) => name);
}
