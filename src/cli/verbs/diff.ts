import { diffContainer } from '../../engine/diff.ts';
import { printable } from '../table.ts';
import { defineVerb } from '../verb.ts';

/** `tare diff`: one change a line, `A` added, `C` changed, `D` deleted. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER',
  flags: { format: { type: 'text', choices: ['json'], help: 'Print JSON' } },
  args: { min: 1, max: 1 },
  examples: [['diff job', 'What a container changed, running or ended']],
  async run(context, values, [name = '']) {
    const changes = await diffContainer(context.engine, name);
    if (values.format === 'json')
      context.print(`${JSON.stringify(changes.map(({ kind, path }) => ({ Kind: kind, Path: path })))}\n`);
    else context.print(changes.map(({ kind, path }) => `${kind} ${printable(path)}\n`).join(''));
    return 0;
  },
});
