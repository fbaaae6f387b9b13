import { TareError } from '../base/errors.ts';
import type { PortWish } from '../network/attach.ts';
import type { RecordedNetwork } from './record.ts';

/** Options of pasta's that say what the network is like; those about files, namespaces and its own life are ours. With a value, or without. */
const withValue = new Set(
  '-m --mtu -a --address -n --netmask -g --gateway -i --interface -o --outbound --outbound-if4 --outbound-if6 -I --ns-ifname --ns-mac-addr -t --tcp-ports -u --udp-ports -T --tcp-ns -U --udp-ns --map-guest-addr --map-host-loopback --dns-forward --dns-host'.split(
    ' ',
  ),
);
const alone = new Set(
  '-4 --ipv4-only -6 --ipv6-only --no-tcp --no-udp --no-icmp --no-dhcp --no-ndp --no-dhcpv6 --no-ra --no-map-gw --map-gw --no-splice --host-lo-to-ns-lo --no-copy-routes --no-copy-addrs'.split(
    ' ',
  ),
);
/** Nothing goes in or out by itself. */
const closed: readonly (readonly string[])[] = [
  ['-t', '--tcp-ports'],
  ['-u', '--udp-ports'],
  ['-T', '--tcp-ns'],
  ['-U', '--udp-ns'],
];
const VALUE = /^[a-zA-Z0-9.:/%~_-]{1,200}$/;

/** Reads `pasta[:OPTION[,OPTION|VALUE]...]` as podman has it. Errors: invalid. */
export function parsePasta(text: string): string[] {
  const wrong = (why: string): TareError => new TareError('invalid', `Cannot use --network ${text}: ${why}`);
  const words = text === 'pasta' ? [] : text.slice('pasta:'.length).split(',');
  const options: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const [flag, joined] = splitAt(word, '=');
    if (alone.has(flag) && joined === undefined) options.push(flag);
    else if (withValue.has(flag)) {
      const value = joined ?? words[++at] ?? '';
      if (!VALUE.test(value)) throw wrong(`${flag} needs a value, not ${JSON.stringify(value)}`);
      options.push(flag, value);
    } else throw wrong(`${JSON.stringify(word)} is no option of pasta's that can be given here`);
  }
  return options;
}

function splitAt(text: string, mark: string): [string, string?] {
  const at = text.indexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** What pasta is told about a container's network: no port leads in or out but those that are asked for, and the machine's loopback is not reached by the gateway. */
export function pastaOptions({ ports, pasta = [] }: Pick<RecordedNetwork, 'ports' | 'pasta'>): string[] {
  const mapsGateway = pasta.includes('--map-gw');
  const given = pasta.filter((option) => option !== '--map-gw');
  const published = ports.flatMap((port) => [port.protocol === 'udp' ? '-u' : '-t', portText(port)]);
  const all = [...given, ...published];
  return [
    ...(mapsGateway || given.includes('--no-map-gw') ? [] : ['--no-map-gw']),
    ...closed.flatMap((names) => (names.some((name) => all.includes(name)) ? [] : [names[0] ?? '', 'none'])),
    ...all,
  ];
}

function portText({ hostAddress, hostPort, port }: PortWish): string {
  const to = hostPort === port ? '' : `:${port}`;
  return `${hostAddress === undefined ? '' : `${hostAddress}/`}${hostPort}${to}`;
}
