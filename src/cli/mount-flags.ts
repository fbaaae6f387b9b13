import { posix, resolve } from 'node:path';
import type { MountRequest } from '../engine/create-options.ts';
import { UsageError } from './usage-error.ts';
import { parseSize } from './values.ts';

type Propagation = NonNullable<Extract<MountRequest, { type: 'bind' }>['propagation']>;

const propagations: ReadonlySet<string> = new Set<Propagation>([
  'private',
  'rprivate',
  'shared',
  'rshared',
  'slave',
  'rslave',
]);

/** Options of the mount itself that pass to the OCI config as they are. */
const mountOptions = new Set([
  'exec',
  'noexec',
  'suid',
  'nosuid',
  'dev',
  'nodev',
  'atime',
  'noatime',
  'relatime',
  'nodiratime',
  'strictatime',
  // Owners as in the container's user namespace.
  'idmap',
]);

/** SELinux labels and copy-up of docker volumes: nothing to do for a bind mount here. */
const ignored = new Set(['z', 'Z', 'nocopy', 'cached', 'delegated', 'consistent']);

/** Parses `-v HOST:CONTAINER[:OPTION,...]`. Errors: UsageError. */
export function parseVolumeFlag(text: string, cwd: string): MountRequest {
  const shown = `--volume ${text}`;
  const [source = '', destination, options, ...more] = text.split(':');
  if (more.length > 0) throw new UsageError(`Cannot use ${shown}: expected HOST:CONTAINER[:OPTIONS]`);
  if (destination === undefined)
    throw new UsageError(`Cannot use ${shown}: expected HOST:CONTAINER; volumes without a host path are not there yet`);
  if (!/^(\/|\.\.?(\/|$))/.test(source)) {
    throw new UsageError(
      `Cannot use ${shown}: ${JSON.stringify(source)} is no path (begin it with / or ./); named volumes are not there yet`,
    );
  }
  let readOnly = false;
  let recursive: boolean | undefined;
  let propagation: Propagation | undefined;
  const passed: string[] = [];
  for (const option of options === undefined || options === '' ? [] : options.split(',')) {
    if (option === 'ro') readOnly = true;
    else if (option === 'rw') readOnly = false;
    else if (option === 'bind') recursive = false;
    else if (option === 'rbind') recursive = true;
    else if (isPropagation(option)) propagation = option;
    else if (mountOptions.has(option)) passed.push(option);
    else if (!ignored.has(option)) throw new UsageError(`Cannot use ${shown}: unknown option ${option}`);
  }
  return {
    type: 'bind',
    source: resolve(cwd, source),
    destination: absolute(shown, destination),
    readOnly,
    createSource: true,
    ...(recursive === undefined ? {} : { recursive }),
    ...(propagation === undefined ? {} : { propagation }),
    ...(passed.length === 0 ? {} : { options: passed }),
  };
}

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
  return { type: 'tmpfs', destination: absolute(`--tmpfs ${text}`, path), options };
}

/** Parses `--mount type=bind,src=...,dst=...`: comma-separated, a field with a comma stands in double quotes. Errors: UsageError. */
export function parseMountFlag(text: string, cwd: string): MountRequest {
  const shown = `--mount ${text}`;
  const fields = new Map<string, string>();
  for (const field of csvFields(shown, text)) {
    const equals = field.indexOf('=');
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    const name = SYNONYMS[key] ?? key;
    if (fields.has(name)) throw new UsageError(`Cannot use ${shown}: ${key} is given twice`);
    fields.set(name, equals < 0 ? 'true' : field.slice(equals + 1));
    if (equals < 0 && !SWITCHES.has(name)) throw new UsageError(`Cannot use ${shown}: expected ${key}=...`);
  }
  const take = (name: string): string | undefined => {
    const value = fields.get(name);
    fields.delete(name);
    return value;
  };
  const type = take('type');
  const destination = take('destination');
  if (destination === undefined) throw new UsageError(`Cannot use ${shown}: dst= is needed`);
  const place = absolute(shown, destination);
  let mount: MountRequest;
  switch (type) {
    case 'bind':
      mount = bindMount(shown, place, cwd, take);
      break;
    case 'tmpfs':
      mount = tmpfsMount(shown, place, take);
      break;
    default:
      throw new UsageError(
        `Cannot use ${shown}: type must be bind or tmpfs${type === undefined ? '' : `, not ${type}`} (volumes are not there yet)`,
      );
  }
  const [unknown] = fields.keys();
  if (unknown !== undefined) throw new UsageError(`Cannot use ${shown}: unknown key ${unknown} for type ${mount.type}`);
  return mount;
}

const SYNONYMS: Readonly<Record<string, string>> = {
  src: 'source',
  dst: 'destination',
  target: 'destination',
  ro: 'readonly',
  propagation: 'bind-propagation',
};

const SWITCHES = new Set(['readonly', 'rw', 'bind-nonrecursive']);

type Take = (name: string) => string | undefined;

function bindMount(shown: string, destination: string, cwd: string, take: Take): MountRequest {
  const source = take('source');
  if (source === undefined || source === '') throw new UsageError(`Cannot use ${shown}: src= is needed`);
  const propagation = take('bind-propagation');
  if (propagation !== undefined && !isPropagation(propagation)) {
    throw new UsageError(`Cannot use ${shown}: propagation must be one of ${[...propagations].join(', ')}`);
  }
  const recursive = take('bind-recursive');
  if (recursive !== undefined && recursive !== 'enabled' && recursive !== 'disabled') {
    throw new UsageError(`Cannot use ${shown}: bind-recursive must be enabled or disabled`);
  }
  take('consistency');
  const plain = switchOf(shown, 'bind-nonrecursive', take) === true || recursive === 'disabled';
  return {
    type: 'bind',
    source: resolve(cwd, source),
    destination,
    readOnly: readOnlyOf(shown, take),
    ...(plain ? { recursive: false } : {}),
    ...(propagation === undefined ? {} : { propagation }),
  };
}

function tmpfsMount(shown: string, destination: string, take: Take): MountRequest {
  if (take('source') !== undefined) throw new UsageError(`Cannot use ${shown}: a tmpfs has no source`);
  const options: string[] = [];
  const size = take('tmpfs-size');
  if (size !== undefined) options.push(`size=${parseSize(`${shown}: tmpfs-size`, size)}`);
  const mode = take('tmpfs-mode');
  if (mode !== undefined) {
    if (!/^[0-7]{1,5}$/.test(mode)) throw new UsageError(`Cannot use ${shown}: tmpfs-mode must be octal, like 1777`);
    options.push(`mode=${mode}`);
  }
  if (readOnlyOf(shown, take)) options.push('ro');
  return { type: 'tmpfs', destination, options };
}

function readOnlyOf(shown: string, take: Take): boolean {
  const writable = switchOf(shown, 'rw', take);
  return switchOf(shown, 'readonly', take) ?? (writable === undefined ? false : !writable);
}

function switchOf(shown: string, name: string, take: Take): boolean | undefined {
  const value = take(name);
  if (value === undefined) return undefined;
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new UsageError(`Cannot use ${shown}: ${name} must be true or false`);
}

function absolute(shown: string, path: string): string {
  if (!path.startsWith('/')) throw new UsageError(`Cannot use ${shown}: the path in the container must begin with /`);
  const normal = posix.normalize(path).replace(/(?<=.)\/$/, '');
  if (normal === '/') throw new UsageError(`Cannot use ${shown}: the root of the container cannot be a mount`);
  return normal;
}

function isPropagation(text: string): text is Propagation {
  return propagations.has(text);
}

/** RFC 4180 for one line: a field may stand in double quotes, in which a doubled quote is one. */
function csvFields(shown: string, text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      let field = '';
      for (at++; ; at++) {
        if (at >= text.length) throw new UsageError(`Cannot use ${shown}: a quote is not closed`);
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') field += text[++at];
        else break;
      }
      fields.push(field);
      at++;
      if (at < text.length && text[at] !== ',')
        throw new UsageError(`Cannot use ${shown}: text follows a closing quote`);
    } else {
      const comma = text.indexOf(',', at);
      const end = comma < 0 ? text.length : comma;
      fields.push(text.slice(at, end));
      at = end;
    }
    if (at >= text.length) return fields.filter((field) => field !== '');
    at++;
  }
}
