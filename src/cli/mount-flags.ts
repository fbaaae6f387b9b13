import { resolve } from 'node:path';
import type { MountRequest, Propagation } from '../engine/create-options.ts';
import { csvFields } from './csv-fields.ts';
import { isPropagation, mountOptions, placeInContainer, propagations, subpathOf, volumeNameOf } from './mount-words.ts';
import { UsageError } from './usage-error.ts';
import { parseSize } from './values.ts';

/** Parses `--tmpfs PATH[:OPTION,...]`. Errors: UsageError. */
export function parseTmpfsFlag(text: string): MountRequest {
  const colon = text.indexOf(':');
  const path = colon < 0 ? text : text.slice(0, colon);
  const options =
    colon < 0
      ? []
      : text
          .slice(colon + 1)
          .split(',')
          .filter((option) => option !== '');
  for (const option of options)
    if (option.startsWith('size=') && !option.endsWith('%')) parseSize(`--tmpfs ${path} size`, option.slice(5));
  return { type: 'tmpfs', destination: placeInContainer(`--tmpfs ${text}`, path), options };
}

/** Parses `--mount type=volume|bind|tmpfs|image,src=...,dst=...`: comma-separated, a field with a comma stands in double quotes. Errors: UsageError. */
export function parseMountFlag(text: string, cwd: string): MountRequest {
  const shown = `--mount ${text}`;
  const fields = new Fields(shown, csvFields(shown, text));
  const type = fields.take('type') ?? 'volume';
  const destination = fields.take('destination');
  if (destination === undefined) throw new UsageError(`Cannot use ${shown}: dst= is needed`);
  const place = placeInContainer(shown, destination);
  let mount: MountRequest;
  switch (type) {
    case 'bind':
      mount = bindMount(fields, place, cwd);
      break;
    case 'tmpfs':
      mount = tmpfsMount(fields, place);
      break;
    case 'volume':
      mount = volumeMount(fields, place);
      break;
    case 'image':
      mount = imageMount(fields, place);
      break;
    default:
      throw new UsageError(`Cannot use ${shown}: type must be volume, bind, tmpfs or image, not ${type}`);
  }
  fields.finish(mount.type);
  return mount;
}

const SYNONYMS: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'destination',
  target: 'destination',
  ro: 'readonly',
  propagation: 'bind-propagation',
  nocopy: 'volume-nocopy',
  'volume-subpath': 'subpath',
  'image-subpath': 'subpath',
  size: 'tmpfs-size',
  mode: 'tmpfs-mode',
  U: 'chown',
};

const SWITCHES = new Set([
  'readonly',
  'rw',
  'bind-nonrecursive',
  'volume-nocopy',
  'chown',
  'tmpcopyup',
  'notmpcopyup',
  'z',
  'Z',
  ...mountOptions,
]);

/** May be given more than once. */
const LISTS = new Set(['volume-opt', 'volume-label']);

/** The fields of one flag, each asked for once. */
class Fields {
  readonly shown: string;
  readonly #fields = new Map<string, string[]>();

  constructor(shown: string, fields: readonly string[]) {
    this.shown = shown;
    for (const field of fields) {
      const equals = field.indexOf('=');
      const given = equals < 0 ? field : field.slice(0, equals);
      const key = given === 'U' || given === 'Z' ? given : given.toLowerCase();
      const name = SYNONYMS[key] ?? key;
      const known = this.#fields.get(name) ?? [];
      if (known.length > 0 && !LISTS.has(name)) throw new UsageError(`Cannot use ${shown}: ${key} is given twice`);
      this.#fields.set(name, [...known, equals < 0 ? 'true' : field.slice(equals + 1)]);
      if (equals < 0 && !SWITCHES.has(name)) throw new UsageError(`Cannot use ${shown}: expected ${key}=...`);
    }
  }

  take(name: string): string | undefined {
    return this.list(name)[0];
  }

  list(name: string): readonly string[] {
    const values = this.#fields.get(name) ?? [];
    this.#fields.delete(name);
    return values;
  }

  switch(name: string): boolean | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (value === 'true' || value === '1') return true;
    if (value === 'false' || value === '0') return false;
    throw new UsageError(`Cannot use ${this.shown}: ${name} must be true or false`);
  }

  /** `KEY=VALUE` values as an object. */
  pairs(name: string): Readonly<Record<string, string>> | undefined {
    const pairs = this.list(name).map((text): [string, string] => {
      const equals = text.indexOf('=');
      if (equals === 0) throw new UsageError(`Cannot use ${this.shown}: ${name} needs KEY=VALUE`);
      return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
    });
    return pairs.length === 0 ? undefined : Object.fromEntries(pairs);
  }

  /** Words that pass as they are, in a fixed order. */
  words(): string[] {
    return [...mountOptions].filter((word) => this.switch(word) === true);
  }

  isReadOnly(): boolean {
    const writable = this.switch('rw');
    return this.switch('readonly') ?? (writable === undefined ? false : !writable);
  }

  propagation(): Propagation | undefined {
    const propagation = this.take('bind-propagation');
    if (propagation === undefined || isPropagation(propagation)) return propagation;
    throw new UsageError(`Cannot use ${this.shown}: propagation must be one of ${[...propagations].join(', ')}`);
  }

  finish(type: string): void {
    // Files have no SELinux labels here.
    for (const name of ['z', 'Z', 'relabel', 'consistency']) this.#fields.delete(name);
    const [unknown] = this.#fields.keys();
    if (unknown !== undefined)
      throw new UsageError(`Cannot use ${this.shown}: unknown key ${unknown} for type ${type}`);
  }
}

function bindMount(fields: Fields, destination: string, cwd: string): MountRequest {
  const source = fields.take('source');
  if (source === undefined || source === '') throw new UsageError(`Cannot use ${fields.shown}: src= is needed`);
  const recursive = fields.take('bind-recursive');
  if (recursive !== undefined && !/^(enabled|disabled|writable|readonly)$/.test(recursive))
    throw new UsageError(`Cannot use ${fields.shown}: bind-recursive must be enabled, disabled, writable or readonly`);
  const plain = fields.switch('bind-nonrecursive') === true || recursive === 'disabled';
  const readOnly = fields.isReadOnly();
  if (recursive === 'readonly' && !readOnly)
    throw new UsageError(`Cannot use ${fields.shown}: bind-recursive=readonly is for what is readonly`);
  const options = [...fields.words(), ...(recursive === 'readonly' ? ['rro'] : [])];
  const propagation = fields.propagation();
  return {
    type: 'bind',
    source: resolve(cwd, source),
    destination,
    readOnly: readOnly || options.includes('rro'),
    ...(plain ? { recursive: false } : {}),
    ...(propagation === undefined ? {} : { propagation }),
    ...(options.length === 0 ? {} : { options }),
    ...(fields.switch('chown') === true ? { chown: true } : {}),
  };
}

function volumeMount(fields: Fields, destination: string): MountRequest {
  const name = fields.take('source');
  const subpath = fields.take('subpath');
  const driver = fields.take('volume-driver') ?? 'local';
  if (driver !== 'local')
    throw new UsageError(`Cannot use ${fields.shown}: there is no driver ${driver} of volumes, only local`);
  const options = fields.words();
  const propagation = fields.propagation();
  const labels = fields.pairs('volume-label');
  const driverOptions = fields.pairs('volume-opt');
  return {
    type: 'volume',
    ...(name === undefined || name === '' ? {} : { name: volumeNameOf(fields.shown, name) }),
    destination,
    readOnly: fields.isReadOnly() || options.includes('rro'),
    ...(fields.switch('volume-nocopy') === true ? { noCopy: true } : {}),
    ...(subpath === undefined ? {} : { subpath: subpathOf(fields.shown, subpath) }),
    ...(propagation === undefined ? {} : { propagation }),
    ...(options.length === 0 ? {} : { options }),
    ...(fields.switch('chown') === true ? { chown: true } : {}),
    ...(labels === undefined ? {} : { labels }),
    ...(driverOptions === undefined ? {} : { driverOptions }),
  };
}

function imageMount(fields: Fields, destination: string): MountRequest {
  const image = fields.take('source');
  if (image === undefined || image === '') throw new UsageError(`Cannot use ${fields.shown}: src=IMAGE is needed`);
  const subpath = fields.take('subpath');
  const writable = fields.switch('rw');
  const readOnly = fields.switch('readonly');
  return {
    type: 'image',
    image,
    destination,
    ...((writable ?? readOnly === false) ? { writable: true } : {}),
    ...(subpath === undefined ? {} : { subpath: subpathOf(fields.shown, subpath) }),
  };
}

function tmpfsMount(fields: Fields, destination: string): MountRequest {
  const { shown } = fields;
  if (fields.take('source') !== undefined) throw new UsageError(`Cannot use ${shown}: a tmpfs has no source`);
  const options: string[] = fields.words();
  if (options.includes('idmap')) throw new UsageError(`Cannot use ${shown}: unknown key idmap for type tmpfs`);
  const size = fields.take('tmpfs-size');
  if (size !== undefined) options.push(`size=${parseSize(`${shown}: tmpfs-size`, size)}`);
  const mode = fields.take('tmpfs-mode');
  if (mode !== undefined) {
    if (!/^[0-7]{1,5}$/.test(mode)) throw new UsageError(`Cannot use ${shown}: tmpfs-mode must be octal, like 1777`);
    options.push(`mode=${mode}`);
  }
  if (fields.switch('tmpcopyup') === true) options.push('tmpcopyup');
  fields.switch('notmpcopyup');
  if (fields.isReadOnly()) options.push('ro');
  return { type: 'tmpfs', destination, options };
}
