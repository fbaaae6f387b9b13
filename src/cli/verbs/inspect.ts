import { isKind, TareError } from '../../base/errors.ts';
import { inspectContainer } from '../../engine/inspect.ts';
import type { Context } from '../context.ts';
import { inspectEach, inspectFormat } from '../inspect-each.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  flags: {
    format: inspectFormat('State.Status'),
    type: {
      type: 'text',
      choices: ['container', 'image', 'volume', 'pod', 'all'],
      standard: 'all',
      help: 'Look only among these (all: containers, then images, then volumes, then pods)',
    },
    size: {
      type: 'switch',
      short: 's',
      help: 'Of containers: how much was written, as SizeRw, and with the image, as SizeRootFs',
    },
    latest: { type: 'switch', short: 'l', help: 'The newest container; no name is given then' },
  },
  args: { min: 0 },
  examples: [
    ["inspect --format '{{.State.Status}} {{.State.ExitCode}}' web", 'Two fields'],
    ['inspect --type image busybox', 'An image'],
  ],
  async run(context, values, names) {
    const wanted = await wantedNames(context, names, values.latest === true);
    return inspectEach(context, values.format, wanted, async (name) => {
      const item = await inspectAny(context, name, values.type ?? 'all');
      return values.size === true ? withSize(context, item) : item;
    });
  },
});

async function wantedNames(context: Context, names: readonly string[], latest: boolean): Promise<readonly string[]> {
  if (latest && names.length > 0) throw new UsageError('Cannot use --latest and a name together');
  if (!latest && names.length === 0)
    throw new UsageError('Cannot run tare inspect: it takes at least 1 argument, not 0 (see tare inspect --help)');
  if (!latest) return names;
  const { listContainers } = await import('../../engine/list.ts');
  const [newest] = listContainers(context.engine);
  if (newest === undefined) throw new TareError('not-found', 'Cannot inspect the newest container: there is none');
  return [newest.id];
}

/** Containers have a name and a state, images have none. */
async function withSize(context: Context, item: object): Promise<object> {
  if (!('State' in item) || !('Id' in item) || typeof item.Id !== 'string') return item;
  const { containerSize } = await import('../../engine/container-size.ts');
  const { writableBytes, totalBytes } = await containerSize(context.engine, item.Id);
  return { ...item, SizeRw: writableBytes, SizeRootFs: totalBytes };
}

/** How to look among each kind, in the order in which a name is looked for. */
const kinds: readonly (readonly [type: string, inspect: (context: Context, name: string) => Promise<object>])[] = [
  ['container', async ({ engine }, name) => inspectContainer(engine, name)],
  ['image', async ({ engine }, name) => (await import('../../engine/inspect-image.ts')).inspectImage(engine, name)],
  [
    'volume',
    async ({ engine }, name) => {
      const { volumeSummary, volumeView } = await import('../../engine/volumes/list-volumes.ts');
      return volumeView(volumeSummary(engine, name));
    },
  ],
  ['pod', async ({ engine }, name) => (await import('../../engine/pods/inspect-pod.ts')).inspectPod(engine, name)],
];

async function inspectAny(context: Context, name: string, type: string): Promise<object> {
  const only = kinds.find(([kind]) => kind === type);
  if (only !== undefined) return only[1](context, name);
  for (const [kind, inspect] of kinds) {
    try {
      return await inspect(context, name);
    } catch (error) {
      // What is no name of a volume may be one of something else.
      if (!isKind(error, 'not-found') && !(kind === 'volume' && isKind(error, 'invalid'))) throw error;
    }
  }
  throw new TareError('not-found', `Cannot inspect ${name}: no such container, image, volume or pod`);
}
