import { restartPod } from '../../engine/pods/act-on-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { stopTime, timeoutOf } from '../stop-time.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod restart`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: {
    ...podChoice,
    ...stopTime("each container's own"),
  },
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod restart web', 'Stop its containers and start them again']],
  run: (context, values, names) =>
    forPods(context, names, values, (name) => restartPod(context.engine, name, timeoutOf(values))),
});
