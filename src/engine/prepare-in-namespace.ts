import { TareError } from '../base/errors.ts';
import type { MountIds } from '../spec/mount.ts';
import { mountDetached } from '../sys/mount-detached.ts';
import type { ServedMount } from '../sys/mount-fuse.ts';
import type { Engine } from './engine.ts';
import { chooseIds, type InNamespace, noteIds } from './id-ranges.ts';
import { giveUpper, mapped, mappedMount } from './map-owners.ts';
import { mountRootfs } from './mount-rootfs.ts';
import type { NamespaceRequest } from './namespace-request.ts';
import type { PreparedSource } from './prepare-source.ts';
import { containerDir, type RecordedNamespace } from './record.ts';
import { hostLayers } from './source-host.ts';
import type { UserNamespace } from './user-namespace.ts';

/** What came of it. */
export interface PreparedInNamespace {
  readonly prepared: PreparedSource;
  readonly namespace: UserNamespace;
  readonly rootfs: ServedMount;
  readonly recorded: RecordedNamespace;
  readonly warnings: readonly string[];
}

/**
 * Finds the ids of a container, makes its source with `prepare` while nobody else looks for ids, and mounts its root file system so that the files belong to them.
 *
 * Errors: unsupported for a bundle, and for files that cannot be shown with other owners; exhausted; not-found without sub-ids; cancelled; those of `prepare`.
 */
export async function prepareInNamespace(
  engine: Engine,
  request: NamespaceRequest,
  container: InNamespace,
  prepare: (ids?: MountIds) => Promise<PreparedSource>,
  signal?: AbortSignal,
): Promise<PreparedInNamespace> {
  const { id, resolved } = container;
  if (resolved.kind === 'bundle')
    throw new TareError(
      'unsupported',
      `Cannot use --userns ${request.mode}: a bundle brings its own user namespace (linux.uidMappings in its config.json)`,
    );
  const { namespace, prepared } =
    request.namespace !== undefined && request.isShared === true
      ? { namespace: request.namespace, prepared: await prepare() }
      : await prepareAlone(engine, request, container, prepare, signal);
  const { uidMappings, gidMappings } = namespace;
  const { owners, ...mounted } =
    engine.rootless === undefined
      ? await shown(engine, id, prepared, namespace)
      : await copied(engine, id, prepared, namespace);
  return { ...mounted, namespace, recorded: { mode: request.mode, uidMappings, gidMappings, owners } };
}

/** While nobody else looks for ids. */
async function prepareAlone(
  engine: Engine,
  request: NamespaceRequest,
  container: InNamespace,
  prepare: (ids: MountIds) => Promise<PreparedSource>,
  signal: AbortSignal | undefined,
): Promise<{ readonly namespace: UserNamespace; readonly prepared: PreparedSource }> {
  const store = await engine.openStore();
  using _lock = await store.lockIds(signal);
  const namespace = request.namespace ?? (await chooseIds(engine, store, request.auto, container));
  if (container.resolved.kind !== 'image') noteIds(engine, container.id, namespace);
  return { namespace, prepared: await prepare(namespace) };
}

type Mounted = Pick<PreparedInNamespace, 'prepared' | 'rootfs' | 'warnings'> & Pick<RecordedNamespace, 'owners'>;

/** For the machine's root: the kernel shows the files with other owners; where it cannot, those of an image are copied. */
async function shown(engine: Engine, id: string, prepared: PreparedSource, namespace: UserNamespace): Promise<Mounted> {
  const isImage = prepared.source.kind === 'image';
  const rootfs = mapped(prepared.rootfs, namespace);
  const layers = isImage || prepared.rootfs.kind === 'bind' ? [] : hostLayers(containerDir(engine, id));
  const uppers = isImage && rootfs.kind === 'overlay' ? [rootfs.upper ?? ''] : layers.map(({ upper }) => upper);
  const given = uppers.map((upper) => giveUpper(upper, namespace));
  try {
    if (rootfs.kind === 'overlay' && rootfs.fuse === true)
      throw new TareError(
        'unsupported',
        'fuse-overlayfs, which mounts the layers of this store, shows them as they are',
      );
    // What will be mounted on it at the start.
    for (const { path, lowers } of layers) if (path !== '/') checkShown(lowers[0] ?? path, namespace);
    return {
      prepared: { ...prepared, rootfs, mounts: prepared.mounts.map((mount) => mappedMount(mount, namespace)) },
      rootfs: mountDetached(rootfs),
      owners: 'mapped',
      warnings: [],
    };
  } catch (cause) {
    for (const takeBack of given) takeBack();
    const why = cause instanceof Error ? cause.message : String(cause);
    if (!isImage)
      throw new TareError(
        'unsupported',
        `Cannot give the files of ${prepared.image} to the container's ids: ${why}; use an image, or --userns host`,
        { cause },
      );
    const instead = await copied(engine, id, prepared, namespace);
    const warning = `every file of the image was copied for this container, which takes time and space: this kernel or file system cannot show files with other owners (${why})`;
    return { ...instead, warnings: [warning] };
  }
}

function checkShown(path: string, ids: MountIds): void {
  try {
    mountDetached({ kind: 'bind', source: path, readOnly: false, recursive: false, ids }).close();
  } catch (cause) {
    throw new TareError('unsupported', `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** For everybody else: the files of an image are copied, others stay whose they are. */
async function copied(
  engine: Engine,
  id: string,
  prepared: PreparedSource,
  namespace: UserNamespace,
): Promise<Mounted> {
  using stack = new DisposableStack();
  const rootfs = stack.use(await mountRootfs(engine, prepared.rootfs, { id, source: prepared.source }));
  const isImage = prepared.source.kind === 'image';
  if (isImage) {
    const { shiftOwners } = await import('./shift-owners.ts');
    shiftOwners(rootfs, namespace);
  }
  stack.move();
  return { prepared, rootfs, owners: isImage ? 'copied' : 'unchanged', warnings: [] };
}
