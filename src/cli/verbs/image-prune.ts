import { readSync } from 'node:fs';
import { pruneImages } from '../../engine/prune-images.ts';
import { isTerminal } from '../../sys/tty.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare image prune`: prints the ids of what it deleted. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Also images with names that no container uses' },
    force: { type: 'switch', short: 'f', help: 'Do not ask' },
  },
  args: { min: 0, max: 0 },
  examples: [['image prune -f', 'Delete images without a name']],
  async run(context, values) {
    const all = values.all === true;
    if (values.force !== true) {
      if (!isTerminal(0))
        throw new UsageError('Cannot ask whether to delete images: there is no terminal; use --force');
      const what = all ? 'all images that no container uses' : 'all images without a name that no container uses';
      context.complain(`This deletes ${what}. Continue? [y/N] `);
      if (!/^y(es)?$/i.test(readLine())) return 0;
    }
    const deleted = await pruneImages(context.engine, { all });
    context.print(deleted.map((id) => `${id}\n`).join(''));
    return 0;
  },
});

function readLine(): string {
  const buffer = Buffer.alloc(256);
  return buffer.toString('utf8', 0, readSync(0, buffer)).trim();
}
