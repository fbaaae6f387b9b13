import { resolveContainer } from '../../engine/names.ts';
import { readRecord } from '../../engine/record.ts';
import { startContainer } from '../../engine/start.ts';
import type { Context } from '../context.ts';
import { attachFlags } from '../attach-flags.ts';
import { forEach } from '../for-each.ts';
import { stayAttached, streamsOf } from '../stay-attached.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare start`: prints the names; with -a the exit code is the container's. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    attach: { type: 'switch', short: 'a', help: 'Connect its output and forward signals' },
    interactive: { type: 'switch', short: 'i', help: 'Connect its standard input' },
    all: { type: 'switch', help: 'Start all that do not run, or those that the filters let pass' },
    filter: {
      type: 'list',
      short: 'f',
      value: 'KEY=VALUE',
      help: 'With --all: only those that pass, as for ps; not what a user stopped under unless-stopped',
    },
    ...attachFlags,
  },
  args: { min: 0 },
  examples: [
    ['start -ai job', 'Start a container and stay connected'],
    ['start --all --filter restart-policy=always', 'What a boot does'],
  ],
  async run(context, values, given) {
    const names = await chosen(context, values, given);
    const stdin = values.interactive === true;
    if (values.all === true || (values.attach !== true && !stdin)) {
      return forEach(context, names, async (name) => {
        const container = await startContainer(context.engine, name, { attach: false, stdin: false });
        context.warn(container.warnings);
        context.print(`${name}\n`);
      });
    }
    const [name, ...more] = names;
    if (name === undefined || more.length > 0)
      throw new UsageError('Cannot attach to several containers at once: start one at a time');
    const record = readRecord(context.engine, resolveContainer(context.engine, name));
    const stay = await stayAttached({ ...streamsOf([], stdin && record.openStdin) }, record.terminal, values);
    const container = await startContainer(context.engine, name, { attach: true, stdin });
    context.warn(container.warnings);
    return stay(container, record.autoRemove);
  },
});

/** The names that are meant. Errors: UsageError. */
async function chosen(
  context: Context,
  values: { readonly all: boolean | undefined; readonly filter: readonly string[] },
  names: readonly string[],
): Promise<readonly string[]> {
  if (values.all !== true) {
    if (values.filter.length > 0) throw new UsageError('Cannot use --filter without --all');
    if (names.length === 0) throw new UsageError('Cannot start a container: a name is needed, or --all');
    return names;
  }
  if (names.length > 0) throw new UsageError('Cannot use --all with names');
  const { startable } = await import('../../engine/startable.ts');
  const { compilePsFilter } = await import('../ps-filter.ts');
  const filter = await compilePsFilter(context, values.filter);
  return (await startable(context.engine)).filter(filter.passes).map(({ name }) => name);
}
