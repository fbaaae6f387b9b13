import { disconnectContainer } from '../../engine/networks.ts';
import { defineVerb } from '../verb.ts';

/** `tare network disconnect`. */
export const verb = defineVerb({
  usage: '[OPTIONS] NETWORK CONTAINER',
  flags: { force: { type: 'switch', short: 'f', help: 'Accepted for compatibility' } },
  args: { min: 2, max: 2 },
  examples: [['network disconnect back web', 'One network less, at once and at each start']],
  async run(context, _, [network = '', container = '']) {
    await disconnectContainer(context.engine, network, container);
    return 0;
  },
});
