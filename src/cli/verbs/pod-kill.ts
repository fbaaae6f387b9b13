import { killPod } from '../../engine/pods/act-on-pod.ts';
import { parseSignal } from '../../spec/signals.ts';
import { forPods, podChoice } from '../choose-pods.ts';
import { defineVerb } from '../verb.ts';

/** `tare pod kill`: prints the ids. */
export const verb = defineVerb({
  usage: '[OPTIONS] [POD...]',
  flags: {
    ...podChoice,
    signal: { type: 'text', short: 's', value: 'SIGNAL', standard: 'KILL', help: 'Signal to send' },
  },
  args: { min: 0 },
  errorCode: 125,
  examples: [['pod kill -s USR1 web', 'Tell all containers of a pod something']],
  run(context, values, names) {
    const signal = values.signal ?? 'KILL';
    parseSignal(signal);
    return forPods(context, names, values, (name) => killPod(context.engine, name, signal));
  },
});
