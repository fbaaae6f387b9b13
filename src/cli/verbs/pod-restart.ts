import { restartPod } from '../../engine/pods/act-on-pod.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod restart`: prints the ids. */
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
  },
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod restart web', 'Stop its containers and start them again']],
  run: (context, values, names) =>
    forPods(context, names, values, (name) =>
      restartPod(context.engine, name, values.time === undefined ? {} : { timeoutSeconds: values.time }),
    ),
});
