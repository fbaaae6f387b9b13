import { TareError } from '../base/errors.ts';
import type { MountIds } from '../spec/mount.ts';
import type { Fd } from '../sys/fd.ts';
import { mountDetached } from '../sys/mount-detached.ts';
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
  readonly rootfs: Fd;
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
  const made = engine.rootless === undefined ? mappedSource(engine, id, prepared, namespace) : copied(prepared);
  const { rootfs, warnings, owners } = await made.mount(namespace);
  return {
    prepared: owners === 'mapped' ? made.prepared : prepared,
    namespace,
    rootfs,
    recorded: { mode: request.mode, uidMappings, gidMappings, owners },
    warnings,
  };
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

interface Made {
  readonly prepared: PreparedSource;
  mount(namespace: UserNamespace): Promise<{
    readonly rootfs: Fd;
    readonly owners: RecordedNamespace['owners'];
    readonly warnings: readonly string[];
  }>;
}

/** The machine's root: the kernel shows the files with other owners; where it cannot, those of an image are copied. */
function mappedSource(engine: Engine, id: string, prepared: PreparedSource, ids: MountIds): Made {
  const source: PreparedSource = {
    ...prepared,
    rootfs: mapped(prepared.rootfs, ids),
    mounts: prepared.mounts.map((mount) => mappedMount(mount, ids)),
  };
  const uppers =
    prepared.rootfs.kind === 'bind'
      ? []
      : prepared.source.kind === 'image'
        ? [prepared.rootfs.upper ?? '']
        : hostLayers(containerDir(engine, id)).map(({ upper }) => upper);
  return {
    prepared: source,
    mount: async (namespace) => {
      let cause: unknown;
      const given = uppers.map((upper) => giveUpper(upper, namespace));
      try {
        return { rootfs: mountDetached(source.rootfs), owners: 'mapped', warnings: [] };
      } catch (error) {
        for (const takeBack of given) takeBack();
        cause = error;
      }
      const why = cause instanceof Error ? cause.message : String(cause);
      if (prepared.source.kind !== 'image')
        throw new TareError(
          'unsupported',
          `Cannot give the files of ${prepared.image} to the container's ids: ${why}; use an image, or --userns host`,
          { cause },
        );
      const { rootfs } = await copied(prepared).mount(namespace);
      return {
        rootfs,
        owners: 'copied',
        warnings: [
          `every file of the image was copied for this container, which takes time and space: this kernel or file system shows files with other owners to nobody (${why})`,
        ],
      };
    },
  };
}

/** Everybody else: the files of an image are copied, others stay whose they are. */
function copied(prepared: PreparedSource): Made {
  return {
    prepared,
    mount: async (namespace) => {
      using stack = new DisposableStack();
      const rootfs = stack.use(mountRootfs(prepared.rootfs));
      const isImage = prepared.source.kind === 'image';
      if (isImage) {
        const { shiftOwners } = await import('./shift-owners.ts');
        shiftOwners(rootfs, namespace);
      }
      stack.move();
      return { rootfs, owners: isImage ? 'copied' : 'unchanged', warnings: [] };
    },
  };
}
