import { listImages } from '../../engine/list-images.ts';
import { pruneImages } from '../../engine/prune-images.ts';
import { filterSwitch, parseFilters } from '../filters.ts';
import { filterImages } from '../image-filter.ts';
import { Prompt } from '../prompt.ts';
import { defineVerb } from '../verb.ts';

const pruneFilterKeys = ['until', 'label', 'label!', 'reference', 'id', 'before', 'since', 'dangling'] as const;

/** `tare image prune`: prints the ids of what it deleted. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Also images with names that no container uses' },
    filter: {
      type: 'list',
      value: 'KEY=VALUE',
      offers: pruneFilterKeys.map((key) => `${key}=`),
      help: 'Only those with this label, reference or id, made until a time, before or since another image; label!= for those without',
    },
    force: { type: 'switch', short: 'f', help: 'Do not ask' },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['image prune -f', 'Delete images without a name'],
    ['image prune -af --filter until=720h', 'Delete unused images made more than thirty days ago'],
  ],
  async run(context, values) {
    const { dangling, ...filters } = Object.fromEntries(parseFilters(values.filter, pruneFilterKeys));
    // As docker: dangling=false is --all.
    const all = values.all === true || dangling?.some((value) => !filterSwitch('dangling', value)) === true;
    const images = await listImages(context.engine);
    // Bad values are told before anybody is asked.
    const wanted = new Set(filterImages(images, new Map(Object.entries(filters)), context.now()).map(({ id }) => id));
    if (values.force !== true) {
      const what = all ? 'all images that no container uses' : 'all images without a name that no container uses';
      using prompt = Prompt.open(context, 'Cannot ask whether to delete images: there is no terminal; use --force');
      if (!/^y(es)?$/i.test(await prompt.ask(`This deletes ${what}. Continue? [y/N] `))) return 0;
    }
    const deleted = await pruneImages(context.engine, { all, select: ({ id }) => wanted.has(id) });
    context.print(deleted.map((id) => `${id}\n`).join(''));
    return 0;
  },
});
