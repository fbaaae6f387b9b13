import { stopPod } from '../../engine/pods/act-on-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { stopTime, timeoutOf } from '../stop-time.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod stop`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: {
    ...podChoice,
    ...stopTime("each container's own"),
    ignore: { type: 'switch', short: 'i', help: 'A pod that does not exist is no error' },
  },
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod stop -t 30 web', 'Give each container half a minute to end']],
  run: (context, values, names) =>
    forPods(context, names, values, (name) => stopPod(context.engine, name, timeoutOf(values)), {
      ignoreMissing: values.ignore === true,
    }),
});
