import { TareError } from '../../base/errors.ts';

/** What the driver `local` is told, sorted. */
export interface LocalOptions {
  /** A directory of the machine is bound. */
  readonly bind: boolean;
  readonly recursive: boolean;
  /** Of a file system. */
  readonly type: string;
  readonly device: string;
  /** Words of mount(8): `ro`, `noexec`, `size=64m`, `addr=192.0.2.1`, ... */
  readonly words: readonly string[];
}

const KEYS = ['type', 'device', 'o'];
/** Words that say nothing to the kernel. */
const SILENT = new Set(['defaults', 'bind', 'rbind', 'none', '']);

/** Checks `-o type=,device=,o=` of a volume. Returns them as they are recorded. Errors: invalid, naming the volume. */
export function checkLocalOptions(
  name: string,
  options: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const problem = (why: string): TareError => new TareError('invalid', `Cannot create volume ${name}: ${why}`);
  for (const [key, value] of Object.entries(options)) {
    if (!KEYS.includes(key))
      throw problem(`the driver local has no option ${JSON.stringify(key)}; there are ${KEYS.join(', ')}`);
    if (value.includes('\0')) throw problem(`option ${key} has a NUL character`);
  }
  if (Object.keys(options).length === 0) return {};
  const { bind, type, device, words } = localOptions(options);
  if (type === '' && !bind) throw problem('-o type= is needed: tmpfs, nfs, ext4 … or, with -o o=bind, none');
  if (!bind && !/^[a-z0-9][a-z0-9._-]*$/.test(type)) throw problem(`${JSON.stringify(type)} is no type of file system`);
  if (bind && !device.startsWith('/')) throw problem('to bind, -o device= must be an absolute path');
  if (!bind && type !== 'tmpfs' && device === '') throw problem(`a file system of type ${type} needs -o device=`);
  if (/^nfs/.test(type) && !/^(\[[^\]]+\]|[^:/]*):\//.test(device))
    throw problem('the -o device= of nfs is HOST:/PATH, or :/PATH with addr= in -o o=');
  if (bind && words.some((word) => word.includes('=')))
    throw problem('what is bound is mounted already and takes no such options');
  return options;
}

/** Recorded options, sorted. */
export function localOptions(options: Readonly<Record<string, string>>): LocalOptions {
  const type = options['type'] ?? '';
  const given = (options['o'] ?? '').split(',').map((word) => word.trim());
  const recursive = given.includes('rbind') || type === 'rbind';
  return {
    bind: given.includes('bind') || recursive || type === 'bind',
    recursive,
    type,
    device: options['device'] ?? '',
    words: given.filter((word) => !SILENT.has(word)),
  };
}
