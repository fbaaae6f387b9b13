import { connectContainer } from '../../engine/networks.ts';
import { defineVerb } from '../verb.ts';

/** `tare network connect`. */
export const verb = defineVerb({
  usage: '[OPTIONS] NETWORK CONTAINER',
  flags: {
    alias: { type: 'list', value: 'NAME', help: 'Another name in the network' },
    ip: { type: 'text', value: 'ADDRESS', help: 'IPv4 address' },
    ip6: { type: 'text', value: 'ADDRESS', help: 'IPv6 address' },
    'mac-address': { type: 'text', value: 'ADDRESS', help: 'Hardware address' },
  },
  args: { min: 2, max: 2 },
  examples: [['network connect back web', 'One network more, at once and at each start']],
  async run(context, values, [network = '', container = '']) {
    const addresses = [values.ip, values.ip6].filter((address) => address !== undefined);
    const wish = {
      network,
      ...(addresses.length === 0 ? {} : { addresses }),
      ...(values.alias.length === 0 ? {} : { aliases: values.alias }),
      ...(values['mac-address'] === undefined ? {} : { mac: values['mac-address'] }),
    };
    await connectContainer(context.engine, wish, container);
    return 0;
  },
});
