import { checkHealth } from '../../engine/check-health.ts';
import { defineVerb } from '../verb.ts';

/** `tare healthcheck run`: the exit code is 0 when the container is well, 1 when this check failed. */
export const verb = defineVerb({
  usage: 'CONTAINER',
  flags: {},
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [['healthcheck run web', 'Check now; prints the status when the check failed']],
  async run(context, _values, [name = '']) {
    const { result, health } = await checkHealth(context.engine, name);
    if (result.exitCode === 0) return 0;
    context.print(`${health.status}\n`);
    return 1;
  },
});
