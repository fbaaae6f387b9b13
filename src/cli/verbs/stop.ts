import { stopContainer } from '../../engine/stop.ts';
import { parseSignal } from '../../spec/signals.ts';
import { forEach } from '../for-each.ts';
import { stopTime, timeoutOf } from '../stop-time.ts';
import { defineVerb } from '../verb.ts';

/** `tare stop`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: {
    ...stopTime("the container's own, 10"),
    signal: { type: 'text', short: 's', value: 'SIGNAL', help: 'Signal to send first' },
    ignore: { type: 'switch', help: 'A container that does not exist is no error' },
  },
  args: { min: 1 },
  examples: [['stop -t 30 web', 'Give a service half a minute to end']],
  async run(context, values, names) {
    if (values.signal !== undefined) parseSignal(values.signal);
    const options = {
      untilRemoved: true,
      ...timeoutOf(values),
      ...(values.signal === undefined ? {} : { signal: values.signal }),
    };
    return forEach(
      context,
      names,
      async (name) => {
        await stopContainer(context.engine, name, options);
        context.print(`${name}\n`);
      },
      { ignoreMissing: values.ignore === true },
    );
  },
});
