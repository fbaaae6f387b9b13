import { cloneContainer } from '../../engine/clone.ts';
import { startContainer } from '../../engine/start.ts';
import { limitFlags, limitsGiven } from '../limit-flags.ts';
import { UsageError } from '../usage-error.ts';
import { defineVerb } from '../verb.ts';

/** `tare container clone`: prints the id of the new one. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [NAME [IMAGE]]',
  flags: {
    ...limitFlags,
    name: { type: 'text', help: "Name of the new container (default: the original's with -clone behind it)" },
    run: { type: 'switch', help: 'Start it' },
    destroy: { type: 'switch', help: 'Remove the original once the new one is there' },
    force: { type: 'switch', short: 'f', help: 'With --destroy: also when it runs' },
  },
  args: { min: 1, max: 3 },
  examples: [
    ['container clone --memory 2g web web2', 'Another container like web, with more memory'],
    [
      'container clone --destroy --force --run web web-new docker.io/library/web:2',
      'Replace one by one of another image',
    ],
  ],
  async run(context, values, [original = '', name, image]) {
    if (values.name !== undefined && name !== undefined)
      throw new UsageError('Cannot use --name together with a second argument: both name the new container');
    if (values.force === true && values.destroy !== true) throw new UsageError('Cannot use --force without --destroy');
    const { engine } = context;
    const chosen = values.name ?? name;
    const resources = limitsGiven(values);
    const { id, warnings } = await cloneContainer(engine, original, {
      ...(chosen === undefined ? {} : { name: chosen }),
      ...(image === undefined ? {} : { image }),
      resources,
      ...(values.destroy === true ? { destroy: values.force === true ? ('any' as const) : ('stopped' as const) } : {}),
    });
    context.warn(warnings);
    if (values.run === true) context.warn((await startContainer(engine, id, { attach: false, stdin: false })).warnings);
    context.print(`${id}\n`);
    return 0;
  },
});
