import { existsSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import type { JoinWish } from '../network/attach.ts';
import { type EgressList, parseEgress } from '../network/egress.ts';
import { parseMac } from '../network/mac-address.ts';
import { checkNetworkName } from '../network/network.ts';
import { DEFAULT_NETWORK, networkName } from '../network/networks.ts';
import { isCniName } from '../network/cni/cni-name.ts';
import { isV6, parseAddress } from '../spec/ip.ts';
import { cniName, isCniNetwork } from './cni/cni-names.ts';
import type { CreateOptions } from './create-options.ts';
import type { Engine } from './engine.ts';
import { resolveContainer } from './names.ts';
import { networkPlaces } from './network-ground.ts';
import { parsePasta } from './pasta-request.ts';
import { parsePublish, type PublishRequest } from './publish-request.ts';

/** What a container is to have of networks, beyond none or the machine's. */
export interface NetworkRequest {
  readonly mode: 'bridge' | 'container' | 'ns' | 'pasta';
  readonly join: readonly JoinWish[];
  readonly publish: readonly PublishRequest[];
  readonly publishAll: boolean;
  /** With `container`: its id; with `ns`: the path. */
  readonly of?: string;
  /** With `pasta`: its options. */
  readonly pasta?: readonly string[];
  readonly egress?: EgressList;
}

/**
 * Reads the options about networks; undefined: none, or the machine's.
 *
 * Errors: invalid; not-found container or namespace; unsupported for what this user, or this container, cannot have.
 */
export function networkRequest(engine: Engine, options: CreateOptions): NetworkRequest | undefined {
  if (options.egress === undefined) return placeRequest(engine, options);
  const egress = parseEgress(options.egress);
  const request = placeRequest(engine, { ...options, network: options.network ?? DEFAULT_NETWORK });
  if (request?.mode === 'bridge' && !request.join.some(({ network }) => isCniNetwork(network)))
    return { ...request, egress };
  throw new TareError(
    'invalid',
    `Cannot use --egress with --network ${String(options.network)}: it says what is reached from a network of containers`,
  );
}

function placeRequest(engine: Engine, options: CreateOptions): NetworkRequest | undefined {
  const asked = options.network === undefined ? [] : [options.network].flat();
  const publish = (options.publish ?? []).flatMap(parsePublish);
  const publishes = publish.length > 0 || options.publishAll === true;
  const [only = '', ...more] = asked;
  const kind = /^(none|host|pasta|pasta:.*|container:.*|ns:.*)$/s.exec(only)?.[0].replace(/:.*/s, '');
  const other = asked.find((text) => /^(none$|host$|pasta(:|$)|container:|ns:)/.test(text));
  if (more.length > 0 && other !== undefined)
    throw new TareError('invalid', `Cannot use --network ${other} together with others: it stands alone`);
  const own = options.networkAliases ?? options.ip ?? options.ip6 ?? options.macAddress;
  if (kind === 'none' || kind === 'host' || asked.length === 0) {
    if (asked.length > 0 || !(publishes || own !== undefined)) {
      refuse(publishes, '--publish', only);
      refuse(own !== undefined, '--ip, --ip6, --mac-address and --network-alias', only);
      return undefined;
    }
    // What only a network can give asks for the default one.
    return bridged(engine, options, [DEFAULT_NETWORK], publish);
  }
  if (kind === 'pasta') {
    if (engine.rootless === undefined)
      throw new TareError('unsupported', `Cannot use --network ${only}: it is for users; root has --network bridge`);
    refuse(own !== undefined, '--ip, --ip6, --mac-address and --network-alias', only);
    return { mode: kind, join: [], publish, publishAll: options.publishAll === true, pasta: parsePasta(only) };
  }
  if (kind === 'container' || kind === 'ns') {
    refuse(publishes, '--publish', only);
    refuse(own !== undefined, '--ip, --ip6, --mac-address and --network-alias', only);
    const what = only.slice(kind.length + 1);
    if (kind === 'ns' && !existsSync(what))
      throw new TareError('not-found', `Cannot use --network ${only}: there is no ${what || 'path'}`);
    const of = kind === 'ns' ? what : resolveContainer(engine, what);
    return { mode: kind, join: [], publish: [], publishAll: false, of };
  }
  // As podman calls it: a namespace of its own, with a way out.
  const names = asked.map((text) => text.replace(/^(private|default)(?=:|$)/, DEFAULT_NETWORK));
  return bridged(engine, options, names, publish);
}

function refuse(isAsked: boolean, what: string, network: string): void {
  if (isAsked)
    throw new TareError(
      'invalid',
      `Cannot use ${what} with --network ${network}: they belong to a network of containers`,
    );
}

function bridged(
  engine: Engine,
  options: CreateOptions,
  names: readonly string[],
  publish: readonly PublishRequest[],
): NetworkRequest {
  const plugged = names.find(isCniNetwork);
  if (engine.rootless !== undefined && plugged !== undefined)
    throw new TareError('unsupported', `Cannot use --network ${plugged}: CNI plugins need root; use --network bridge`);
  const places = networkPlaces(engine);
  const join = names.map(parseNetworkFlag).map((wish) => ({ ...wish, network: networkName(places, wish.network) }));
  const { ip, ip6, macAddress: mac, networkAliases: aliases } = options;
  const addresses = [ip, ip6].filter((address) => address !== undefined);
  for (const [text, v6] of [
    [ip, false],
    [ip6, true],
  ] as const)
    if (text !== undefined && isV6(parseAddress(text, v6 ? '--ip6' : '--ip')) !== v6)
      throw new TareError('invalid', `Cannot use ${v6 ? '--ip6' : '--ip'} ${text}: it is of the other family`);
  if (mac !== undefined) parseMac(mac);
  const [first] = join;
  if (first === undefined || (addresses.length === 0 && mac === undefined && aliases === undefined))
    return { mode: 'bridge', join, publish, publishAll: options.publishAll === true };
  if (join.length > 1)
    throw new TareError(
      'invalid',
      'Cannot use --ip, --ip6, --mac-address or --network-alias with several networks: say --network NAME:ip=ADDRESS,mac=ADDRESS,alias=NAME',
    );
  const one: JoinWish = {
    ...first,
    ...(addresses.length === 0 ? {} : { addresses: [...(first.addresses ?? []), ...addresses] }),
    ...(mac === undefined ? {} : { mac }),
    ...(aliases === undefined ? {} : { aliases: [...(first.aliases ?? []), ...aliases] }),
  };
  return { mode: 'bridge', join: [one], publish, publishAll: options.publishAll === true };
}

/** Reads `[cni:]NAME[:ip=ADDRESS,ip6=,mac=,alias=,interface_name=]`. Errors: invalid. */
export function parseNetworkFlag(text: string): JoinWish {
  const colon = text.indexOf(':', isCniNetwork(text) ? text.indexOf(':') + 1 : 0);
  const network = colon < 0 ? text : text.slice(0, colon);
  if (!isCniNetwork(network)) checkNetworkName(network);
  else if (!isCniName(cniName(network)))
    throw new TareError('invalid', `Cannot use --network ${text}: expected cni:NAME, of letters, digits, _ . -`);
  const addresses: string[] = [];
  const aliases: string[] = [];
  let mac: string | undefined;
  let link: string | undefined;
  for (const option of colon < 0 ? [] : text.slice(colon + 1).split(',')) {
    const equals = option.indexOf('=');
    const [key, value] = [option.slice(0, Math.max(0, equals)), option.slice(equals + 1)];
    if (key === 'ip' || key === 'ip6') {
      parseAddress(value, `--network ${key}`);
      addresses.push(value);
    } else if (key === 'mac') {
      parseMac(value);
      mac = value;
    } else if (key === 'alias' && value !== '') aliases.push(value);
    else if (key === 'interface_name' && /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/.test(value)) link = value;
    else
      throw new TareError(
        'invalid',
        `Cannot use --network ${text}: expected ip=ADDRESS, ip6=ADDRESS, mac=ADDRESS, alias=NAME or interface_name=NAME, not ${option || 'nothing'}`,
      );
  }
  return {
    network,
    ...(addresses.length === 0 ? {} : { addresses }),
    ...(aliases.length === 0 ? {} : { aliases }),
    ...(mac === undefined ? {} : { mac }),
    ...(link === undefined ? {} : { interface: link }),
  };
}
