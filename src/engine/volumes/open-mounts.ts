import { TareError } from '../../base/errors.ts';
import type { MountIds, OverlayMount } from '../../spec/mount.ts';
import { S_IFDIR, S_IFMT } from '../../sys/at.ts';
import { isErrno } from '../../sys/error.ts';
import type { Fd } from '../../sys/fd.ts';
import { mountDetached } from '../../sys/mount-detached.ts';
import { openTree } from '../../sys/mount.ts';
import { openPath, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS } from '../../sys/open.ts';
import { fstat } from '../../sys/stat.ts';
import { mapIds } from '../../sys/user-namespace.ts';
import type { Engine } from '../engine.ts';
import { mapped } from '../map-owners.ts';
import { type ContainerRecord, isOpenedAtStart, type RecordedMount } from '../record.ts';
import { mountLocal } from './local-mount.ts';
import { DATA, isPlain, readVolume, volumePath } from './volume.ts';

/** A mount whose source has no path on the machine, opened: `fd` is a detached mount. */
export interface OpenedMount {
  readonly destination: string;
  readonly fd: Fd;
  readonly kind: 'directory' | 'file';
}

/**
 * Opens those mounts of a container whose source is no path: parts of volumes, volumes that something is mounted for, images. Nothing of it becomes visible anywhere but in the container, and a path that
 * comes from the user is walked beneath the volume or image, whatever links are there.
 *
 * Errors: not-found for a volume, a path in it or its device; those of `mountLocal`.
 */
export async function openMounts(
  engine: Engine,
  record: ContainerRecord,
): Promise<readonly OpenedMount[] & Disposable> {
  using stack = new DisposableStack();
  const opened: OpenedMount[] = [];
  for (const mount of record.mounts ?? []) {
    if (!isOpenedAtStart(mount)) continue;
    const fd = stack.use(await openOne(engine, record, mount));
    const kind = (fstat(fd).mode & S_IFMT) === S_IFDIR ? 'directory' : 'file';
    opened.push({ destination: mount.destination, fd, kind });
  }
  const kept = stack.move();
  return Object.assign(opened, { [Symbol.dispose]: () => kept.dispose() });
}

/** One of them. Errors: as `openMounts`. */
export async function openOne(engine: Engine, record: ContainerRecord, mount: RecordedMount): Promise<Fd> {
  if (mount.type === 'image') {
    using root = mountDetached(await imageMount(engine, record, mount));
    return beneath(root, mount.subpath, `image ${mount.image}`);
  }
  if (mount.type !== 'volume')
    throw new TareError('internal', `Cannot open the mount on ${mount.destination}: it has a path`);
  const volume = readVolume(engine, mount.name, 'mount');
  if (!isPlain(volume)) {
    using root = await mountLocal(volume);
    if (record.userns?.owners === 'mapped' && mount.options?.includes('idmap') !== true)
      showOwners(root, record.userns);
    return beneath(root, mount.subpath, `volume ${mount.name}`);
  }
  using data = openPath(volumePath(engine, mount.name, DATA), { directory: true });
  return beneath(data, mount.subpath ?? '.', `volume ${mount.name}`);
}

/** Where its file system can do that, and as long as it was nobody else's before. */
function showOwners(root: Fd, ids: MountIds): void {
  try {
    mapIds(root, ids);
  } catch (error) {
    if (!isErrno(error, 'EINVAL', 'EPERM')) throw error;
  }
}

/** Of a tree that somebody in a container may be changing at this moment: what was found is what is mounted. Without a path the tree itself. */
function beneath(root: Fd, subpath: string | undefined, what: string): Fd {
  if (subpath === undefined) return root.duplicate();
  const doing = `Cannot mount ${subpath} of ${what}`;
  try {
    using found = openPath(subpath, { dir: root, follow: true, resolve: RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS });
    return openTree('', { dir: found, clone: true, recursive: true });
  } catch (cause) {
    if (isErrno(cause, 'ENOENT', 'ENOTDIR'))
      throw new TareError('not-found', `${doing}: there is no such file or directory in it`, { cause });
    if (isErrno(cause, 'EXDEV', 'ELOOP'))
      throw new TareError('denied', `${doing}: a link on the way leads out of it`, { cause });
    if (isErrno(cause, 'EINVAL'))
      throw new TareError(
        'unsupported',
        `${doing}: this kernel cannot take a part of what is mounted for one container (Linux 6.15 can); mount all of it`,
        { cause },
      );
    throw cause;
  }
}

async function imageMount(
  engine: Engine,
  record: ContainerRecord,
  mount: Extract<RecordedMount, { type: 'image' }>,
): Promise<Parameters<typeof mountDetached>[0]> {
  const store = await engine.openStore();
  let rootfs: OverlayMount;
  try {
    rootfs = store.rootfs(mount.layerOf);
  } catch (cause) {
    throw new TareError(
      'not-found',
      `Cannot mount image ${mount.image} on ${mount.destination}: it is no longer in the store`,
      { cause },
    );
  }
  if (rootfs.fuse === true)
    throw new TareError(
      'unsupported',
      `Cannot mount image ${mount.image} on ${mount.destination}: its layers are such as only fuse-overlayfs reads; pull it again where the kernel mounts overlays`,
    );
  const { upper: _upper, work: _work, ...below } = rootfs;
  const [only = '', ...more] = below.lowers;
  const ids: MountIds | undefined = record.userns?.owners === 'mapped' ? record.userns : undefined;
  const seen =
    mount.writable === true
      ? rootfs
      : more.length > 0
        ? { ...below, options: below.options.filter((option) => option !== 'volatile') }
        : ({ kind: 'bind', source: only, readOnly: true, recursive: false } as const);
  return ids === undefined ? seen : mapped(seen, ids);
}
