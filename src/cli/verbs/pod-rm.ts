import { removePod } from '../../engine/pods/remove-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod rm`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: {
    ...podChoice,
    force: { type: 'switch', short: 'f', help: 'Kill what runs in it first; one that does not exist is no error' },
    time: { type: 'seconds', short: 't', help: 'With --force: seconds from the stop signal to SIGKILL (default 0)' },
    ignore: { type: 'switch', short: 'i', help: 'A pod that does not exist is no error' },
  },
  args: { min: 0 },
  examples: [['pod rm -f web', 'Kill and remove a pod with all its containers']],
  run(context, values, names) {
    const force = values.force === true;
    const options = { force, ...(values.time === undefined ? {} : { timeoutSeconds: values.time }) };
    return forPods(context, names, values, (name) => removePod(context.engine, name, options), {
      ignoreMissing: force || values.ignore === true,
      failed: 1,
    });
  },
});
