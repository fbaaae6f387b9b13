import { clonePod } from '../../engine/pods/clone-pod.ts';
import { limitFlags, limitsGiven } from '../limit-flags.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod clone`: prints the id. */
export const verb = defineVerb({
  usage: '[OPTIONS] POD [NAME]',
  flags: {
    name: { type: 'text', short: 'n', help: "Name of the new pod (default: the original's with -clone behind it)" },
    start: { type: 'switch', help: 'Start it' },
    destroy: { type: 'switch', help: 'Remove the original once the new one is there' },
    ...limitFlags,
  },
  args: { min: 1, max: 2 },
  errorCode: 125,
  examples: [['pod clone --start -m 2g web web2', 'Another pod like this one, with more memory']],
  async run(context, values, [pod = '', given]) {
    const name = values.name ?? given;
    const resources = limitsGiven(values);
    const id = await clonePod(context.engine, pod, {
      ...(name === undefined ? {} : { name }),
      ...(Object.keys(resources).length === 0 ? {} : { resources }),
      destroy: values.destroy === true,
      start: values.start === true,
    });
    context.print(`${id}\n`);
    return 0;
  },
});
