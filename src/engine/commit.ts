import { TareError, isKind } from '../base/errors.ts';
import { bytesOf, type ByteString } from '../archive/byte-string.ts';
import type { IdChange } from '../archive/mod.ts';
import type { BaseImage } from '../image/mod.ts';
import { changeImageProcess } from '../spec/image-change.ts';
import { openDirectory } from '../sys/open.ts';
import { fstat } from '../sys/stat.ts';
import { committedProcess } from './commit-config.ts';
import { type ContainerFiles, openContainerRootfs } from './container-files.ts';
import { insideIds } from './container-ids.ts';
import { containerChanges } from './diff.ts';
import { containerActor, emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { wantedPlatform } from './images.ts';
import type { MadeImage } from './import-image.ts';
import type { Fd } from '../sys/fd.ts';
import { storeImage } from './store-image.ts';
import { whilePaused } from './while-paused.ts';

export interface CommitOptions {
  /** What the image is called; without it it has no name. */
  readonly name?: string;
  readonly author?: string;
  readonly message?: string;
  /** Dockerfile instructions: see `changeImageProcess`. */
  readonly changes?: readonly string[];
  /** False: processes go on meanwhile, and a file may be caught half written. Default: they stand still where the machine can do that. */
  readonly pause?: boolean;
  /** One layer with the whole root file system, instead of one on top of the image's. */
  readonly squash?: boolean;
  /** Of the manifest: OCI's unless stated. */
  readonly format?: 'oci' | 'docker';
  readonly signal?: AbortSignal;
}

export interface CommittedImage extends MadeImage {
  readonly warnings: readonly string[];
}

/**
 * Makes an image of what a container has become: its writable layer on top of the layers of the image that it was made from, which stay as they are; its command, environment, user,
 * working directory and labels. Volumes are no part of it. A container of `host:` or `rootfs:DIR:O` has no image below: the new one holds what changed, and nothing else.
 *
 * Errors: not-found; unsupported for a container without a writable layer; invalid changes or name; failed-precondition while somebody keeps it busy, or when its image is gone;
 * exhausted; cancelled.
 */
export async function commitContainer(
  engine: Engine,
  nameOrId: string,
  options: CommitOptions = {},
): Promise<CommittedImage> {
  // Before anything stands still.
  changeImageProcess({}, options.changes ?? []);
  await using container = await openContainerRootfs(engine, nameOrId, 'commit');
  const { record, config, files } = container;
  const store = await engine.store();
  const warnings: string[] = [];
  let base: BaseImage | undefined;
  if (record.source.kind === 'image') {
    const image = store.image(record.source.imageId);
    if (image === undefined)
      throw new TareError(
        'failed-precondition',
        `Cannot commit ${record.name}: its image ${record.source.imageId.slice(0, 12)} is no longer in the store; export it instead`,
      );
    base = { config: store.readConfig(image), manifest: store.readManifest(image) };
  } else if (options.squash !== true)
    warnings.push(
      `the image holds only what ${record.name} changed: it was made from ${record.image}, which is no image`,
    );
  const process = changeImageProcess(committedProcess(base?.config, record, config, files), options.changes ?? []);
  const { config: baseConfig } = base ?? {};
  const make = async (): Promise<CommittedImage> => {
    const below = options.squash === true ? undefined : base;
    const { image, name } = await storeImage(store, await layerOf(engine, container, options), {
      ...(below === undefined ? {} : { base: below }),
      process,
      platform:
        baseConfig === undefined
          ? wantedPlatform(undefined)
          : (await import('../spec/image-config.ts')).parseImageConfig(baseConfig).platform,
      created: new Date().toISOString(),
      createdBy: record.command.join(' '),
      format: options.format === 'docker' ? 'v2s2' : 'oci',
      ...(options.author === undefined ? {} : { author: options.author }),
      ...(options.message === undefined ? {} : { comment: options.message }),
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    emit(engine, {
      ...containerActor(record),
      action: 'commit',
      attributes: { imageID: image.id, comment: options.message ?? '' },
    });
    return { imageId: image.id, ...(name === undefined ? {} : { name }), warnings };
  };
  if (!container.isRunning || options.pause === false) return await make();
  try {
    return await whilePaused(engine, record, make, options.signal === undefined ? {} : { signal: options.signal });
  } catch (error) {
    const cannot = isKind(error, 'unsupported') || isKind(error, 'denied') || isKind(error, 'not-found');
    if (options.pause === true || !cannot || !error.message.startsWith('Cannot pause')) throw error;
    warnings.push(`${record.name} ran on meanwhile: ${error.message}`);
    return await make();
  }
}

/** The tar of the new layer. */
async function layerOf(
  engine: Engine,
  { record, config, files }: ContainerFiles<Fd>,
  options: CommitOptions,
): Promise<AsyncIterable<Uint8Array>> {
  const { treeTar } = await import('../archive/mod.ts');
  const ids = insideIds(config);
  const how = {
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(ids === undefined ? {} : { ids }),
  };
  if (options.squash === true) {
    const hidden = new Set(
      record.source.kind === 'host' ? config.linux?.maskedPaths?.map((path) => bytesOf(path.slice(1))) : [],
    );
    return treeTar(files, '.', { ...how, mounts: 'none', keep: (path) => !hidden.has(path) });
  }
  const { layers, changes } = await containerChanges(engine, record, 'commit');
  const changed = new Set(changes.map(({ path }) => path));
  return changedTar(layers, changed, how);
}

async function* changedTar(
  layers: Awaited<ReturnType<typeof containerChanges>>['layers'],
  changed: ReadonlySet<ByteString>,
  how: { readonly signal?: AbortSignal; readonly ids?: IdChange },
): AsyncGenerator<Uint8Array, void, void> {
  const { TAR_END, treeEntries } = await import('../archive/mod.ts');
  for (const { path, upper, lowers, fuse } of layers) {
    using dir = openDirectory(upper);
    const prefix = path === '/' ? '' : bytesOf(path);
    // The root is described where it differs from the one below.
    const name = prefix === '' ? (isChangedRoot(dir, lowers[0], how.ids) ? '.' : '') : prefix.slice(1);
    if (prefix !== '' && ![...changed].some((other) => other.startsWith(`${prefix}/`))) continue;
    yield* treeEntries(dir, name, {
      ...how,
      form: fuse === true ? 'fuse-layer' : 'layer',
      keep: (below) => changed.has(`${prefix}/${below}`),
    });
  }
  yield TAR_END;
}

function isChangedRoot(upper: Fd, lower: string | undefined, ids: IdChange | undefined): boolean {
  if (lower === undefined) return true;
  using below = openDirectory(lower);
  const [now, before] = [fstat(upper), fstat(below)];
  const [uid, gid] = ids === undefined ? [now.uid, now.gid] : [ids.uid(now.uid), ids.gid(now.gid)];
  return now.mode !== before.mode || uid !== before.uid || gid !== before.gid;
}
