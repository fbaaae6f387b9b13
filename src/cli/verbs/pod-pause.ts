import { pausePod } from '../../engine/pods/act-on-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod pause`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: podChoice,
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod pause job', 'Let all processes of a pod stand still; their memory stays']],
  run: (context, values, names) => forPods(context, names, values, (name) => pausePod(context.engine, name)),
});
