import { inspectNetwork } from '../../engine/networks.ts';
import { inspectEach, inspectFormat } from '../inspect-each.ts';
import { defineVerb } from '../verb.ts';

/** `tare network inspect`: a JSON list, or a line for each with a template. */
export const verb = defineVerb({
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  flags: { format: inspectFormat('Name') },
  args: { min: 1 },
  examples: [["network inspect --format '{{(index .IPAM.Config 0).Subnet}}' web", 'Its addresses']],
  run: (context, values, names) =>
    inspectEach(context, values.format, names, (name) => inspectNetwork(context.engine, name)),
});
