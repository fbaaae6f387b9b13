import { isUp } from '../../engine/list.ts';
import { restartContainer } from '../../engine/restart.ts';
import { parseSignal } from '../../spec/signals.ts';
import { chooseContainers } from '../choose-containers.ts';
import { forEach } from '../for-each.ts';
import { UsageError } from '../usage-error.ts';
import { stopTime, timeoutOf } from '../stop-time.ts';
import { defineVerb } from '../verb.ts';

/** `tare restart`: prints the names. */
export const verb = defineVerb({
  usage: '[OPTIONS] [CONTAINER...]',
  flags: {
    all: { type: 'switch', short: 'a', help: 'All, also those that do not run' },
    running: { type: 'switch', help: 'All that run' },
    ...stopTime("the container's own, 10"),
    signal: { type: 'text', short: 's', value: 'SIGNAL', help: 'Signal to send first' },
  },
  args: { min: 0 },
  examples: [['restart -t 30 web', 'Stop a service, with half a minute to end, and start it again']],
  async run(context, values, names) {
    if (values.signal !== undefined) parseSignal(values.signal);
    if (values.all === true && values.running === true) throw new UsageError('Cannot use --all and --running together');
    const running = values.running === true;
    const chosen = await chooseContainers(context, names, {
      name: running ? 'running' : 'all',
      given: running || values.all === true,
      wants: (container) => !running || isUp(container),
    });
    const options = {
      ...timeoutOf(values),
      ...(values.signal === undefined ? {} : { signal: values.signal }),
    };
    return forEach(context, chosen, async (name) => {
      context.warn(await restartContainer(context.engine, name, options));
      context.print(`${name}\n`);
    });
  },
});
