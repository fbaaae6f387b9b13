import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { Attachment, Joined } from '../network/attachment.ts';
import { isNamed } from '../network/names.ts';
import { readAddress } from '../spec/ip.ts';
import type { CreateOptions } from './create-options.ts';

/** How a container finds names, as its record has it. */
export interface NameOptions {
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  /** `NAME:ADDRESS`. */
  readonly addHosts?: readonly string[];
}

/** Where the machine is, if not at the gateway of the container's network. */
export interface Machine {
  readonly machine?: string;
}

const HOST_GATEWAY = 'host-gateway';
/** The machine, as podman's and docker's containers know it. */
const MACHINE_NAMES = ['host.containers.internal', 'host.docker.internal'];
const RESOLV_CONF = '/etc/resolv.conf';
/** Where systemd-resolved says whom it asks itself. */
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf';

/** The options about names, checked; undefined without any. Errors: invalid. */
export function nameOptions(options: CreateOptions): NameOptions | undefined {
  const { dns, dnsSearch, dnsOptions, addHosts } = options;
  if ((dns ?? dnsSearch ?? dnsOptions ?? addHosts) === undefined) return undefined;
  for (const address of dns ?? [])
    if (readAddress(address) === undefined)
      throw new TareError('invalid', `Cannot use --dns ${address}: expected an IPv4 or IPv6 address`);
  for (const [flag, words] of [
    ['--dns-search', dnsSearch ?? []],
    ['--dns-option', dnsOptions ?? []],
  ] as const)
    for (const word of words)
      if (!/^[^\s#;]+$/.test(word))
        throw new TareError('invalid', `Cannot use ${flag} ${JSON.stringify(word)}: expected one word`);
  for (const text of addHosts ?? []) hostLine(text, '127.0.0.1');
  return {
    ...(dns === undefined ? {} : { dns }),
    ...(dnsSearch === undefined ? {} : { dnsSearch }),
    ...(dnsOptions === undefined ? {} : { dnsOptions }),
    ...(addHosts === undefined ? {} : { addHosts }),
  };
}

/** `NAME[;NAME]:ADDRESS` as a line of /etc/hosts. Errors: invalid. */
function hostLine(text: string, gateway: string | undefined): string {
  const colon = text.indexOf(':');
  const names = text.slice(0, Math.max(0, colon)).split(';');
  const given = text.slice(colon + 1).replace(/^\[(.*)\]$/, '$1');
  const address = given === HOST_GATEWAY ? gateway : given;
  if (!names.every((name) => /^[a-zA-Z0-9_]([a-zA-Z0-9_.-]*)$/.test(name)))
    throw new TareError('invalid', `Cannot use --add-host ${text}: expected NAME:ADDRESS`);
  if (address === undefined)
    throw new TareError(
      'invalid',
      `Cannot use --add-host ${text}: the container has no network through which it reaches the machine`,
    );
  if (readAddress(address) === undefined)
    throw new TareError('invalid', `Cannot use --add-host ${text}: ${given} is no address, nor ${HOST_GATEWAY}`);
  return `${address}\t${names.join(' ')}`;
}

/** What /etc/hosts says of a container, besides what everybody's says. */
export function hostsText(
  names: readonly string[],
  attachment: Attachment | undefined,
  options: NameOptions & Machine,
): string {
  const networks = attachment?.networks ?? [];
  const way = networks.find(({ internal, external }) => !internal && external !== true)?.addresses[0]?.gateway;
  const gateway = way === undefined ? undefined : (options.machine ?? way);
  const own = networks.flatMap(({ addresses, aliases }) =>
    addresses.map(({ address }) => `${address}\t${[...names, ...aliases].join(' ')}`),
  );
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...(options.addHosts ?? []).map((text) => hostLine(text, gateway)),
    ...(own.length === 0 ? [`127.0.1.1\t${names[0] ?? ''}`] : own),
    ...(gateway === undefined ? [] : [`${gateway}\t${MACHINE_NAMES.join(' ')}`]),
    '',
  ].join('\n');
}

/** Whom a container asks that has names of others, or may ask for some alone: the gateway of its first network in which it can. */
export function nameserverOf(
  { networks, names, egress }: Pick<Attachment, 'networks' | 'names' | 'egress'>,
  nameless?: ReadonlyMap<string, string>,
): string | undefined {
  if (names === undefined && egress === undefined) return undefined;
  const asks = (one: Joined): boolean => (egress !== undefined || isNamed(one)) && nameless?.has(one.network) !== true;
  return networks.find(asks)?.addresses[0]?.gateway;
}

/**
 * What /etc/resolv.conf says. With a `nameserver` of ours that one alone: it asks the others. A name without a dot is then asked as it is before a domain is put behind it, as docker has it: a
 * container's name is not to be found in somebody's domain. Otherwise what was asked for, or whom the machine asks, as far as a container can reach them.
 */
export function resolvText(
  options: NameOptions,
  nameserver?: string,
  machine: string = machineResolvConf(),
): { text: string; warnings: string[] } {
  const lines = machine.split('\n').map((line) => line.trim().split(/\s+/));
  const words = (key: string): string[] => lines.flatMap(([first, ...rest]) => (first === key ? rest : []));
  const asked =
    nameserver !== undefined
      ? [nameserver]
      : (options.dns ?? words('nameserver').filter((address) => !isMachineOnly(address)));
  const search = options.dnsSearch ?? words('search');
  const wanted = [...(options.dnsOptions ?? words('options'))];
  if (nameserver !== undefined && options.dnsOptions?.some(isNdots) !== true) {
    const others = wanted.filter((option) => !isNdots(option));
    wanted.splice(0, wanted.length, ...others, 'ndots:0');
  }
  const warnings =
    asked.length > 0
      ? []
      : ['no nameserver of the machine can be reached from a network of containers: say one (--dns ADDRESS)'];
  const text = [
    ...(search.length === 0 || search[0] === '.' ? [] : [`search ${search.join(' ')}`]),
    ...asked.map((address) => `nameserver ${address}`),
    ...(wanted.length === 0 ? [] : [`options ${wanted.join(' ')}`]),
    '',
  ].join('\n');
  return { text, warnings };
}

const isNdots = (option: string): boolean => option.startsWith('ndots:');

/** Whom the machine asks, also where only it can; with `reachable` only whom others can ask, too. */
export function machineNameservers(reachable = false): string[] {
  const all = nameserversIn(reachable ? machineResolvConf() : textOf(RESOLV_CONF));
  return reachable ? all.filter((address) => !isMachineOnly(address)) : all;
}

/** 127.0.0.0/8 and ::1, where only the machine itself is asked. */
const isMachineOnly = (address: string): boolean => /^(127\.|::1$|0\.0\.0\.0$)/.test(address);

function nameserversIn(text: string): string[] {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  return lines.flatMap(([first, address = '']) =>
    first === 'nameserver' && readAddress(address) !== undefined && !/^(0\.0\.0\.0|::)$/.test(address) ? [address] : [],
  );
}

/** The machine's own, or where that leads to a resolver on the machine itself, whom that one asks. */
function machineResolvConf(): string {
  const own = textOf(RESOLV_CONF);
  return /^\s*nameserver\s+127\.0\.0\.53\s*$/m.test(own) ? textOf(RESOLVED_CONF) || own : own;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Writes both for a container that is about to start. Its mounts are of these files: they are not replaced. */
export function writeNetworkFiles(
  dir: string,
  names: readonly string[],
  attachment: (Attachment & { readonly nameless?: ReadonlyMap<string, string> }) | undefined,
  options: NameOptions & Machine,
): string[] {
  writeFileSync(join(dir, 'hosts'), hostsText(names, attachment, options));
  const nameserver = attachment === undefined ? undefined : nameserverOf(attachment, attachment.nameless);
  const { text, warnings } = resolvText(options, nameserver);
  writeFileSync(join(dir, 'resolv.conf'), text);
  return warnings;
}
