import { isKind, TareError } from '../../base/errors.ts';
import { createNetwork } from '../../engine/networks.ts';
import { networkDrivers } from '../../network/network.ts';
import { UsageError } from '../usage-error.ts';
import { pairsOf } from '../pairs.ts';
import { defineVerb } from '../verb.ts';

/** `tare network create`: prints the name. */
export const verb = defineVerb({
  usage: '[OPTIONS] NAME',
  flags: {
    driver: {
      type: 'text',
      short: 'd',
      choices: networkDrivers,
      standard: 'bridge',
      help: 'Kind of network: macvlan and ipvlan share a link of this machine',
    },
    subnet: {
      type: 'list',
      value: 'ADDRESS/PREFIX',
      help: 'Its addresses, of IPv4 and IPv6 (default: ones that are free)',
    },
    gateway: { type: 'list', value: 'ADDRESS', help: "The machine's address in each subnet (default: the first)" },
    'ip-range': {
      type: 'list',
      value: 'ADDRESS/PREFIX',
      help: 'Give containers addresses of this part of each subnet',
    },
    ipv6: { type: 'switch', help: 'Also IPv6' },
    internal: { type: 'switch', help: 'No way out of it, and none in' },
    opt: {
      type: 'list',
      short: 'o',
      value: 'KEY=VALUE',
      help: 'mtu=BYTES; bridge: masquerade=false (what goes out keeps its address); macvlan, ipvlan: parent=LINK, mode=bridge|private|vepa|passthru or l2|l3|l3s',
    },
    label: { type: 'list', value: 'KEY[=VALUE]', help: 'Set a label' },
    'interface-name': { type: 'text', value: 'NAME', help: 'Name of its bridge, or of the link that is shared' },
    'ipam-driver': {
      type: 'text',
      choices: ['default', 'host-local', 'dhcp', 'none'],
      standard: 'default',
      help: 'Who gives addresses: default and host-local mean Tare; others are not supported',
    },
    ignore: { type: 'switch', help: 'One that exists is no error' },
  },
  args: { min: 1, max: 1 },
  errorCode: 125,
  examples: [
    ['network create web', 'A network whose containers reach each other, and nobody else'],
    [
      'network create -d macvlan -o parent=eth0 --subnet 192.0.2.0/24 --gateway 192.0.2.1 --ip-range 192.0.2.128/25 lan',
      'Containers with addresses of the network that eth0 is in',
    ],
    ['network create --subnet 10.7.0.0/24 --ip-range 10.7.0.128/25 --internal back', 'Addresses by hand, no way out'],
  ],
  async run(context, values, [name = '']) {
    const { subnet, gateway, 'ip-range': range } = values;
    for (const [flag, list] of [
      ['--gateway', gateway],
      ['--ip-range', range],
    ] as const)
      if (list.length > subnet.length)
        throw new UsageError(`Cannot use ${flag} ${list.at(-1) ?? ''}: each needs a --subnet`);
    const ipam = values['ipam-driver'];
    if (ipam === 'dhcp' || ipam === 'none')
      throw new TareError(
        'unsupported',
        `Cannot create network ${name}: addresses by --ipam-driver ${ipam} are not supported`,
      );
    try {
      await createNetwork(context.engine, {
        name,
        driver: networkDrivers.find((one) => one === values.driver) ?? 'bridge',
        subnets: subnet.map((text, at) => ({
          subnet: text,
          ...(gateway[at] === undefined ? {} : { gateway: gateway[at] }),
          ...(range[at] === undefined ? {} : { range: range[at] }),
        })),
        ipv6: values.ipv6 === true,
        internal: values.internal === true,
        options: pairsOf('--opt', values.opt, 'KEY=VALUE'),
        labels: pairsOf('--label', values.label, 'KEY[=VALUE]'),
        ...(values['interface-name'] === undefined ? {} : { bridge: values['interface-name'] }),
      });
    } catch (error) {
      if (!(values.ignore === true && isKind(error, 'already-exists'))) throw error;
    }
    context.print(`${name}\n`);
    return 0;
  },
});
