import { isIPv4, isIPv6 } from 'node:net';
import { messageOf, TareError } from '../../base/errors.ts';
import { isErrno } from '../../sys/error.ts';
import type { Fd } from '../../sys/fd.ts';
import {
  fsconfig,
  fsconfigCreate,
  fsmount,
  fsopen,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  mountSetattr,
  MS_PRIVATE,
  openTree,
} from '../../sys/mount.ts';
import { type LocalOptions, localOptions } from './local-options.ts';
import type { VolumeRecord } from './volume.ts';

const ATTRIBUTES: Readonly<Record<string, number>> = {
  ro: MOUNT_ATTR_RDONLY,
  nosuid: MOUNT_ATTR_NOSUID,
  nodev: MOUNT_ATTR_NODEV,
  noexec: MOUNT_ATTR_NOEXEC,
  noatime: MOUNT_ATTR_NOATIME,
  strictatime: MOUNT_ATTR_STRICTATIME,
  nodiratime: MOUNT_ATTR_NODIRATIME,
  rw: 0,
  suid: 0,
  dev: 0,
  exec: 0,
  relatime: 0,
  atime: 0,
};
/** What mount(8) keeps to itself. */
const FOR_MOUNT_ONLY = /^(_netdev|auto|noauto|nofail|user|nouser|users|owner|group|x-.*|comment=.*)$/;

/**
 * What a volume with options of its own stands for, as a detached mount: it exists by its descriptor, later in the container, and in no table of the machine's. A tmpfs is another, empty one for each start.
 *
 * Errors: not-found without the device; denied; unsupported for a file system that this kernel lacks; unavailable, and others by errno, with the kernel's own words and the volume's name.
 */
export async function mountLocal(volume: VolumeRecord): Promise<Fd> {
  const options = localOptions(volume.options);
  try {
    return options.bind ? bind(options) : await fileSystem(options);
  } catch (cause) {
    if (!(cause instanceof TareError)) throw cause;
    const { type, device } = options;
    const what = options.bind ? device : `${type}${device === '' ? '' : ` of ${device}`}`;
    const advice =
      cause.kind === 'denied' && !options.bind && type !== 'tmpfs' ? "; only the machine's root may mount that" : '';
    throw new TareError(
      cause.kind,
      `Cannot mount volume ${volume.name} (${what}): ${messageOf(cause).replace(/^Cannot /, '')}${advice}`,
      { cause },
    );
  }
}

function bind({ device, recursive, words }: LocalOptions): Fd {
  using stack = new DisposableStack();
  const tree = stack.use(openTree(device, { clone: true, recursive }));
  const set = attributesOf(words);
  // A clone of a shared mount is shared: what is mounted on it in the container would reach the machine.
  mountSetattr(tree, { propagation: MS_PRIVATE, recursive });
  if (set !== 0) {
    const clear = (set & MOUNT_ATTR__ATIME) === 0 ? 0 : MOUNT_ATTR__ATIME;
    mountSetattr(tree, { set, clear, recursive });
  }
  stack.move();
  return tree;
}

async function fileSystem(options: LocalOptions): Promise<Fd> {
  const { type, device, words } = options;
  const parameters = words.filter((word) => !Object.hasOwn(ATTRIBUTES, word) && !FOR_MOUNT_ONLY.test(word));
  if (!/^nfs/.test(type)) return makeMount(options, parameters);
  const server = await serverAddress(device, parameters);
  const others = parameters.filter((one) => !one.startsWith('addr='));
  if (others.some((one) => NFS_VERSION.test(one))) return makeMount(options, [...others, ...server]);
  let refused: unknown;
  for (const version of nfsVersions(type)) {
    try {
      return makeMount(options, [...others, ...server, `vers=${version}`]);
    } catch (error) {
      if (!isErrno(error, 'EPROTONOSUPPORT')) throw error;
      refused = error;
    }
  }
  throw refused;
}

/** A version that is asked for. */
const NFS_VERSION = /^(nfs)?vers=|^v[234](\.\d)?$/;
/** What mount.nfs(8) tries, one after the other: the kernel wants to be told one. */
const nfsVersions = (type: string): readonly string[] => ['4.2', '4.1', '4.0', ...(type === 'nfs' ? ['3'] : [])];

function makeMount({ type, device, words }: LocalOptions, parameters: readonly string[]): Fd {
  using context = openFileSystem(type);
  fsconfig(context, 'source', device === '' ? type : device);
  // A read-only disk is read-only as a whole, not only where it is mounted.
  if (words.includes('ro') && type !== 'tmpfs') fsconfig(context, 'ro');
  for (const word of parameters) {
    const equals = word.indexOf('=');
    if (equals < 0) fsconfig(context, word);
    else fsconfig(context, word.slice(0, equals), word.slice(equals + 1));
  }
  fsconfigCreate(context);
  return fsmount(context, attributesOf(words));
}

function openFileSystem(type: string): Fd {
  try {
    return fsopen(type);
  } catch (cause) {
    if (!isErrno(cause, 'ENODEV')) throw cause;
    throw new TareError('unsupported', `this kernel has no file system ${type}`, { cause });
  }
}

function attributesOf(words: readonly string[]): number {
  return words.reduce((bits, word) => bits | (Object.hasOwn(ATTRIBUTES, word) ? (ATTRIBUTES[word] ?? 0) : 0), 0);
}

/** The kernel wants the number of the server (mount.nfs(8) looks it up for others). Errors: unavailable. */
async function serverAddress(device: string, parameters: readonly string[]): Promise<string[]> {
  const given = parameters.find((word) => word.startsWith('addr='))?.slice('addr='.length);
  const host = given ?? (/^\[([^\]]+)\]:/.exec(device)?.[1] || device.slice(0, device.indexOf(':')));
  if (isIPv4(host) || isIPv6(host)) return [`addr=${host}`];
  const { lookup } = await import('node:dns/promises');
  try {
    return [`addr=${(await lookup(host)).address}`];
  } catch (cause) {
    throw new TareError(
      'unavailable',
      `Cannot find server ${host}: ${(cause as NodeJS.ErrnoException).code ?? 'unknown'}`,
      {
        cause,
      },
    );
  }
}
