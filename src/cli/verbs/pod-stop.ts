import { stopPod } from '../../engine/pods/act-on-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod stop`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: {
    ...podChoice,
    time: {
      type: 'seconds',
      short: 't',
      alias: 'timeout',
      minusOne: true,
      help: "Seconds until SIGKILL (default: each container's own); -1: never",
    },
    ignore: { type: 'switch', short: 'i', help: 'A pod that does not exist is no error' },
  },
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod stop -t 30 web', 'Give each container half a minute to end']],
  run: (context, values, names) =>
    forPods(
      context,
      names,
      values,
      (name) => stopPod(context.engine, name, values.time === undefined ? {} : { timeoutSeconds: values.time }),
      { ignoreMissing: values.ignore === true },
    ),
});
