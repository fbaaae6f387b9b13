import { reloadNetworks } from '../../engine/networks.ts';
import { defineVerb } from '../verb.ts';

/** `tare network reload`. */
export const verb = defineVerb({
  usage: '',
  flags: { all: { type: 'switch', short: 'a', help: 'Accepted for compatibility: it is always all' } },
  args: { min: 0 },
  examples: [['network reload', 'After somebody flushed the rules of the firewall']],
  async run(context) {
    await reloadNetworks(context.engine);
    return 0;
  },
});
