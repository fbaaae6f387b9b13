import { unpausePod } from '../../engine/pods/act-on-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod unpause`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: podChoice,
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod unpause job', 'Let them go on']],
  run: (context, values, names) => forPods(context, names, values, (name) => unpausePod(context.engine, name)),
});
