import { killContainer } from '../../engine/stop.ts';
import { parseSignal } from '../../spec/signals.ts';
import { forEach } from '../for-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare kill`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  flags: { signal: { type: 'text', short: 's', value: 'SIGNAL', standard: 'KILL', help: 'Signal, by name or number' } },
  args: { min: 1 },
  examples: [['kill -s HUP web', 'Ask a service to read its configuration again']],
  async run(context, values, names) {
    const signal = values.signal ?? 'KILL';
    parseSignal(signal);
    return forEach(context, names, async (name) => {
      await killContainer(context.engine, name, signal);
      context.print(`${name}\n`);
    });
  },
});
