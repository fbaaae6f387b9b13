import { startPod } from '../../engine/pods/act-on-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod start`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: podChoice,
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod start web', 'Start a pod: its init containers first, then all others']],
  run: (context, values, names) => forPods(context, names, values, (name) => startPod(context.engine, name)),
});
