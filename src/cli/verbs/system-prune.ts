import { pruneSystem } from '../../engine/prune-system.ts';
import { confirm } from '../confirm.ts';
import { humanSize } from '../human.ts';
import { defineVerb } from '../verb.ts';

/** `tare system prune`. */
export const verb = defineVerb({
  usage: '[OPTIONS]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'Every image that no container uses, not only those without a name' },
    volumes: {
      type: 'switch',
      help: 'Also volumes that no container uses: anonymous ones, with --all those with names, too',
    },
    force: { type: 'switch', short: 'f', help: 'Do not ask' },
  },
  args: { min: 0, max: 0 },
  examples: [
    ['system prune -f', 'Remove ended pods and containers, images without a name, and blobs of layers that are gone'],
  ],
  async run(context, values) {
    const all = values.all === true;
    const volumes = values.volumes === true;
    const lost = volumes
      ? `\t- all ${all ? '' : 'anonymous '}volumes without a container, with all that is in them\n`
      : '';
    const warning = `WARNING! This command removes:\n\t- all pods that have ended\n\t- all non running containers\n${lost}\t- ${
      all ? 'all images without a container' : 'all images without a name and a container'
    }\n\t- kept blobs of layers that are gone\n\n`;
    if (!(await confirm(context, values.force === true, warning))) return 0;
    const pruned = await pruneSystem(context.engine, { all, volumes });
    const section = (title: string, ids: readonly string[]): string =>
      ids.length === 0 ? '' : `${title}:\n${ids.map((id) => `${id}\n`).join('')}\n`;
    context.print(
      section('Deleted Pods', pruned.pods) +
        section('Deleted Containers', pruned.containers) +
        section('Deleted Volumes', pruned.volumes) +
        section('Deleted Images', pruned.images),
    );
    context.print(`Total reclaimed space: ${humanSize(pruned.freedBytes)}\n`);
    return 0;
  },
});
