/** registries.conf, version 2 (containers-registries.conf(5)): where images of a name really are, and how to speak to them. */
import { TareError } from '../base/errors.ts';
import { parseReference, type RepositoryPath } from '../spec/mod.ts';

const MAX_BYTES = 1024 * 1024;
const MAX_REGISTRIES = 10_000;
const MAX_MIRRORS = 100;

/** One `[[registry]]`. */
export interface RegistryRule {
  /** Names it is for: `HOST[:PORT][/PATH...]`, or `*.DOMAIN` for every host below. */
  readonly prefix: string;
  /** Stands in the place of the prefix when images are read; empty for a `*.` prefix that is left as it is. */
  readonly location: string;
  readonly insecure: boolean;
  readonly blocked: boolean;
  /** In the order they are tried, before the location itself. */
  readonly mirrors: readonly MirrorRule[];
}

export interface MirrorRule {
  readonly location: string;
  readonly insecure: boolean;
  /** The references it is asked for. */
  readonly pull: 'all' | 'digest-only' | 'tag-only';
}

export interface RegistriesConf {
  readonly registries: readonly RegistryRule[];
  /** Where short names would be looked for. Undefined where the file does not say. */
  readonly unqualifiedSearchRegistries: readonly string[] | undefined;
}

/** A place to speak to instead of, or as well as, the one that a reference names. */
export interface Endpoint {
  readonly domain: string;
  readonly path: RepositoryPath;
  /** TLS is not verified, and plain http is tried. */
  readonly insecure: boolean;
  /** The host is the one that was named, not one that registries.conf put in its place: the user's own credentials are meant for it. */
  readonly isNamed: boolean;
}

/** What is looked up: a Reference, or a repository as a whole. */
export interface Named {
  readonly domain: string;
  readonly path: RepositoryPath;
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * The registries.conf in `text`; `path` is for messages. Keys that Tare does not know are skipped, as newer programs share the file.
 *
 * Errors: `invalid`; `unsupported` for version 1, which all programs stopped reading.
 */
export async function parseRegistriesConf(text: string, path: string): Promise<RegistriesConf> {
  if (text.length > MAX_BYTES) throw unusable(path, `it is longer than ${MAX_BYTES} bytes`);
  const { parse } = await import('smol-toml');
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (cause) {
    const line = cause instanceof Error && 'line' in cause ? `line ${String(cause.line)} is` : 'it is';
    throw unusable(path, `${line} not TOML`, cause);
  }
  if (document['registries'] !== undefined)
    throw new TareError(
      'unsupported',
      `Cannot use ${path}: it is version 1 of registries.conf; write its tables as [[registry]] (man containers-registries.conf)`,
    );
  const search = document['unqualified-search-registries'];
  return {
    registries: tables(document['registry'], 'registry', MAX_REGISTRIES, path).map((table) => ruleOf(table, path)),
    unqualifiedSearchRegistries: search === undefined ? undefined : texts(search, path),
  };
}

/** Several files as one: a later file's `[[registry]]` of the same prefix replaces an earlier one. */
export function mergeRegistriesConf(files: readonly RegistriesConf[]): RegistriesConf {
  const registries = new Map(files.flatMap((file) => file.registries).map((rule) => [rule.prefix, rule]));
  return {
    registries: [...registries.values()],
    unqualifiedSearchRegistries: files.findLast((file) => file.unqualifiedSearchRegistries !== undefined)
      ?.unqualifiedSearchRegistries,
  };
}

/** The places to read `named` from, in the order they are tried: mirrors, then the registry's location. Errors: `denied` when it is blocked; `invalid`. */
export function readEndpoints(conf: RegistriesConf, named: Named): Endpoint[] {
  const rule = ruleFor(conf, named);
  if (rule === undefined) return [writeEndpoint(conf, named)];
  const isDigest = named.digest !== undefined;
  const mirrors = rule.mirrors.filter(({ pull }) => pull === 'all' || (pull === 'digest-only') === isDigest);
  return [...mirrors, rule].map((place) => moved(named, rule, place));
}

/**
 * The place to write `named` to: where its name says. As for podman and skopeo, a location stands in for reading only; `insecure` and `blocked` hold for both. Errors: as
 * `readEndpoints`.
 */
export function writeEndpoint(conf: RegistriesConf, named: Named): Endpoint {
  const { domain, path } = named;
  return { domain, path, insecure: ruleFor(conf, named)?.insecure ?? false, isNamed: true };
}

/** What is said of a registry as a whole, for `login`. Errors: `denied` when it is blocked. */
export function hostEndpoint(conf: RegistriesConf, domain: string): Omit<Endpoint, 'path'> {
  const rule = longest(conf, domain);
  if (rule?.blocked === true) throw blocked(rule, domain);
  return { domain, insecure: rule?.insecure ?? false, isNamed: true };
}

/** The rule with the longest prefix that `named` begins with. Errors: `denied` when it says blocked. */
function ruleFor(conf: RegistriesConf, named: Named): RegistryRule | undefined {
  const rule = longest(conf, fullName(named));
  if (rule?.blocked === true) throw blocked(rule, `${named.domain}/${named.path}`);
  return rule;
}

function longest(conf: RegistriesConf, name: string): RegistryRule | undefined {
  let best: RegistryRule | undefined;
  for (const rule of conf.registries) {
    if (rule.prefix.length > (best?.prefix.length ?? 0) && matchedLength(rule.prefix, name) > 0) best = rule;
  }
  return best;
}

function blocked(rule: RegistryRule, name: string): TareError {
  return new TareError('denied', `Cannot use ${name}: registries.conf blocks ${rule.prefix} on this machine`);
}

function fullName({ domain, path, tag, digest }: Named): string {
  return `${domain}/${path}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** How much of `name` the prefix covers; 0 when it does not fit. A prefix ends where a part of the name ends. */
function matchedLength(prefix: string, name: string): number {
  let length = prefix.length;
  if (prefix.startsWith('*.')) {
    const host = /^[^/:@]*/.exec(name)?.[0] ?? '';
    if (!host.endsWith(prefix.slice(1)) || host.length < prefix.length) return 0;
    length = host.length;
  } else if (!name.startsWith(prefix)) return 0;
  return length === name.length || '/:@'.includes(name[length] ?? '') ? length : 0;
}

function moved(
  named: Named,
  rule: RegistryRule,
  to: { readonly location: string; readonly insecure: boolean },
): Endpoint {
  const { insecure, location } = to;
  if (location === '' || location === rule.prefix)
    return { domain: named.domain, path: named.path, insecure, isNamed: true };
  const name = fullName(named);
  const { domain, path } = parseReference(location + name.slice(matchedLength(rule.prefix, name)));
  return { domain, path, insecure, isNamed: domain === named.domain };
}

function ruleOf(table: Record<string, unknown>, path: string): RegistryRule {
  const location = locationOf(table['location'], 'location', path);
  const prefix = locationOf(table['prefix'], 'prefix', path) || location;
  if (prefix === '') throw unusable(path, 'a [[registry]] has neither prefix nor location');
  if (location === '' && !prefix.startsWith('*.'))
    throw unusable(path, `the [[registry]] of ${JSON.stringify(prefix)} has no location`);
  const digestOnly = flag(table['mirror-by-digest-only'], 'mirror-by-digest-only', path);
  const mirrors = tables(table['mirror'], 'registry.mirror', MAX_MIRRORS, path).map((mirror): MirrorRule => {
    const pull = mirror['pull-from-mirror'];
    if (pull !== undefined && digestOnly)
      throw unusable(path, `pull-from-mirror of ${JSON.stringify(prefix)} contradicts mirror-by-digest-only`);
    if (pull !== undefined && pull !== '' && pull !== 'all' && pull !== 'digest-only' && pull !== 'tag-only')
      throw unusable(path, 'pull-from-mirror is none of all, digest-only and tag-only');
    const place = locationOf(mirror['location'], 'location', path);
    if (place === '') throw unusable(path, `a mirror of ${JSON.stringify(prefix)} has no location`);
    return {
      location: place,
      insecure: flag(mirror['insecure'], 'insecure', path),
      pull: digestOnly ? 'digest-only' : pull || 'all',
    };
  });
  return {
    prefix,
    location,
    insecure: flag(table['insecure'], 'insecure', path),
    blocked: flag(table['blocked'], 'blocked', path),
    mirrors,
  };
}

function locationOf(value: unknown, key: string, path: string): string {
  if (value === undefined) return '';
  if (typeof value !== 'string' || value.length > 512) throw unusable(path, `${key} is not a short text`);
  const text = value.replace(/\/+$/, '');
  if (/^https?:\/\//.test(text))
    throw unusable(path, `${key} ${JSON.stringify(value)} must not begin with http:// or https://`);
  if (!/^(?:\*\.)?[\w.[\]:/@-]*$/.test(text) || (key === 'location' && text.startsWith('*')))
    throw unusable(path, `${key} ${JSON.stringify(value)} is not a host with or without a path`);
  return text;
}

function flag(value: unknown, key: string, path: string): boolean {
  if (value === undefined) return false;
  if (typeof value !== 'boolean') throw unusable(path, `${key} is neither true nor false`);
  return value;
}

function texts(value: unknown, path: string): string[] {
  if (!Array.isArray(value) || value.length > MAX_MIRRORS || !value.every((item) => typeof item === 'string'))
    throw unusable(path, 'unqualified-search-registries is not a list of hosts');
  return value;
}

function tables(value: unknown, key: string, most: number, path: string): Record<string, unknown>[] {
  if (value === undefined) return [];
  if (!Array.isArray(value) || !value.every(isTable)) throw unusable(path, `${key} is not a list of tables`);
  if (value.length > most) throw unusable(path, `there are more than ${most} [[${key}]]`);
  return value;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unusable(path: string, state: string, cause?: unknown): TareError {
  return new TareError('invalid', `Cannot use ${path}: ${state}`, { cause });
}
