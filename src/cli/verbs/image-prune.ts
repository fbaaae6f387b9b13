import { pruneImages } from '../../engine/prune-images.ts';
import { Prompt } from '../prompt.ts';
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
      const what = all ? 'all images that no container uses' : 'all images without a name that no container uses';
      using prompt = Prompt.open(context, 'Cannot ask whether to delete images: there is no terminal; use --force');
      if (!/^y(es)?$/i.test(await prompt.ask(`This deletes ${what}. Continue? [y/N] `))) return 0;
    }
    const deleted = await pruneImages(context.engine, { all });
    context.print(deleted.map((id) => `${id}\n`).join(''));
    return 0;
  },
});
