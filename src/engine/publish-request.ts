import { TareError } from '../base/errors.ts';
import type { PortWish } from '../network/attach.ts';
import { readAddress } from '../spec/ip.ts';

/** A port that is to be published; without a host port: on one that is free. */
export type PublishRequest = Omit<PortWish, 'hostPort'> & { readonly hostPort?: number };

const MAX_PORT = 65_535;
const protocols = ['tcp', 'udp', 'sctp'] as const;

/**
 * Reads `[[ADDRESS:][HOST[-HOST]]:]CONTAINER[-CONTAINER][/PROTOCOL]`, an IPv6 address in brackets.
 *
 * Errors: invalid.
 */
export function parsePublish(text: string): PublishRequest[] {
  const wrong = (why: string): TareError => new TareError('invalid', `Cannot publish ${text}: ${why}`);
  const slash = text.lastIndexOf('/');
  const protocol = protocols.find((name) => name === (slash < 0 ? 'tcp' : text.slice(slash + 1)));
  if (protocol === undefined) throw wrong('the protocol is tcp, udp or sctp');
  const match = /^(?:(?:\[([^\]]*)\]|([^:]*)):(?=.*:))?(?:([\d-]*):)?([\d-]+)$/.exec(
    slash < 0 ? text : text.slice(0, slash),
  );
  if (match === null) throw wrong('expected [[ADDRESS:][HOSTPORT]:]PORT[/PROTOCOL]');
  const [, v6, v4, host = '', inside = ''] = match;
  const hostAddress = v6 ?? v4 ?? '';
  if (hostAddress !== '' && readAddress(hostAddress) === undefined) throw wrong(`${hostAddress} is no address`);
  const [first, last] = portRange(inside, wrong);
  const on = hostAddress === '' ? {} : { hostAddress };
  const ports = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  if (host === '') return ports.map((port) => ({ protocol, ...on, port }));
  const [hostFirst, hostLast] = portRange(host, wrong);
  if (hostLast - hostFirst !== last - first) throw wrong('both ranges must be of the same length');
  return ports.map((port, i) => ({ protocol, ...on, hostPort: hostFirst + i, port }));
}

/** Reads `80`, `80/udp`, `8000-8010/tcp`: what an image exposes. Errors: invalid. */
export function parseExposed(text: string): PublishRequest[] {
  if (text.includes(':')) throw new TareError('invalid', `Cannot expose ${text}: expected PORT[-PORT][/PROTOCOL]`);
  return parsePublish(text);
}

function portRange(text: string, wrong: (why: string) => TareError): [first: number, last: number] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? first);
  if (match === null || first < 1 || last > MAX_PORT || last < first)
    throw wrong(`${text} is no port from 1 to ${MAX_PORT}, nor a range of them`);
  return [first, last];
}
