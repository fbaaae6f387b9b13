import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { Digest, DiffId } from '../spec/digest.ts';
import type { MountIds, OverlayMount } from '../spec/mount.ts';
import { readCapped, storageError } from './_file.ts';
import { createParts, ensureLayout, imageDir, type StoreParts, tarSplitPath } from './_parts.ts';
import { bigDataFile } from './big-data.ts';
import type { ImageCommit } from './commit-image.ts';
import {
  type ContainerCreate,
  type CreatedContainer,
  containerRootfs,
  createContainer,
  removeContainer,
  renameContainer,
} from './containers.ts';
import type { RemovedImage } from './image-changes.ts';
import { findImage } from './image-names.ts';
import type { LayerWriter, StageOptions } from './layer-writer.ts';
import { HeldLock } from './lock-file.ts';
import { hasMountProgram, setMountProgram } from './mount-program.ts';
import {
  type ContainerRecord,
  containerOf,
  imageOf,
  type ImageRecord,
  isId,
  isIncomplete,
  type LayerRecord,
  layerOf,
  requireId,
} from './record.ts';
import { recover } from './recover.ts';
import { TempDir } from './temp-dir.ts';

export interface StoreOptions {
  /** Absolute. Images, layers, containers; shared with podman, buildah, skopeo and CRI-O. */
  readonly graphRoot: string;
  /** Absolute. What does not outlive the machine. */
  readonly runRoot: string;
  /** In a user namespace: overlayfs marks are `user.overlay.*`, device nodes are left out. */
  readonly userNamespace?: boolean;
  readonly now?: () => Date;
  /** storage.conf names a `mount_program`: from now on this is a store for fuse-overlayfs, whoever opens it. */
  readonly mountProgram?: boolean;
  /** Asked for a store that is new, with a directory of it: whether the kernel refuses overlays there, and fuse-overlayfs is there to make them. */
  readonly needsMountProgram?: (dir: string) => boolean | Promise<boolean>;
  /** `later`: the caller calls `recover` when there is time. */
  readonly recovery?: 'now' | 'later';
}

// What a container's life does not need is loaded on first use: unpacking brings the archive formats along.
const loadCommit = () => import('./commit-image.ts');
const loadChanges = () => import('./image-changes.ts');
const loadIds = () => import('./id-maps.ts');

/** Manifests and configs are capped where they are fetched; this is for what others wrote. */
const MAX_BIG_DATA_BYTES = 64 * 1024 * 1024;

/**
 * A containers/storage store with the overlay driver. Any number of processes, ours and others', work on it at the same time.
 *
 * Reading takes no lock and sees whole records only; changing takes the write locks for a short, synchronous step. Nothing is held between calls, so there is
 * nothing to close.
 */
export class Store {
  readonly #parts: StoreParts;

  private constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /**
   * Opens the store, makes its directories when they are missing, and deletes what killed processes left in staging.
   *
   * Errors: `denied` where it cannot be written.
   */
  static async open(options: StoreOptions): Promise<Store> {
    const parts = createParts(
      options.graphRoot,
      options.runRoot,
      options.userNamespace ?? false,
      options.now ?? (() => new Date()),
    );
    try {
      if (!existsSync(join(parts.dirs.home, 'l'))) await makeLayout(parts, options);
      // Mounts are described by real paths: overlayfs would follow links of the host only once.
      const real = createParts(realpathSync.native(options.graphRoot), options.runRoot, parts.userXattr, parts.now);
      ensureRunRoot(real);
      if (options.mountProgram === true) setMountProgram(real.dirs.home);
      const store = new Store(real);
      if (options.recovery !== 'later') await store.recover();
      return store;
    } catch (error) {
      throw storageError(`open store ${options.graphRoot}`, error);
    }
  }

  /** Deletes what killed processes left. What is reading or writing meanwhile does not mind. Errors: `denied`. */
  async recover(): Promise<void> {
    await recover(this.#parts);
  }

  /** Absolute, links resolved. */
  get graphRoot(): string {
    return this.#parts.graphRoot;
  }

  /** Its layers are mounted with fuse-overlayfs, not by the kernel: looked up each time, for another process may have said so meanwhile. */
  get fuse(): boolean {
    return hasMountProgram(this.#parts.dirs.home);
  }

  /** The kernel refuses to mount its layers: from now on fuse-overlayfs does it, for podman, too. There is no way back. Idempotent. */
  useFuse(): void {
    setMountProgram(this.#parts.dirs.home);
  }

  /** All images. Errors: `failed-precondition` for a damaged list. */
  images(): ImageRecord[] {
    return this.#parts.images.rows().map(imageOf);
  }

  /** An image by name, `repository@digest`, id or unique id prefix; undefined when there is none. Errors: `invalid` for an ambiguous prefix. */
  image(reference: string): ImageRecord | undefined {
    return this.firstImage([reference])?.image;
  }

  /** The first of `references` that is there, with the reference; the list is read once. Errors: as `image`. */
  firstImage(references: readonly string[]): { readonly image: ImageRecord; readonly reference: string } | undefined {
    const rows = this.#parts.images.mentioning(commonEnd(references.map(literalOf)));
    for (const reference of references) {
      const row = findImage(rows, reference);
      if (row !== undefined) return { image: imageOf(row), reference };
    }
    return undefined;
  }

  /** The image's config, as it was committed. Errors: `not-found`. */
  readConfig(image: ImageRecord): Buffer {
    return this.readBigData(image, `sha256:${image.id}`);
  }

  /** The image's manifest, or the one with `digest` among `image.digests`. Errors: `not-found`. */
  readManifest(image: ImageRecord, digest?: Digest): Buffer {
    return this.readBigData(image, digest === undefined ? 'manifest' : `manifest-${digest}`);
  }

  /** An item that is kept with an image. Errors: `not-found`. */
  readBigData(image: ImageRecord, key: string): Buffer {
    const bytes = readCapped(
      join(imageDir(this.#parts, requireId(image.id, 'image id')), bigDataFile(key)),
      MAX_BIG_DATA_BYTES,
    );
    if (bytes === undefined)
      throw new TareError('not-found', `Cannot read ${key} of image ${image.id.slice(0, 12)}: it is not in the store`);
    return bytes;
  }

  /** All complete layers. */
  layers(): LayerRecord[] {
    return this.#parts.layers
      .rows()
      .filter((row) => !isIncomplete(row))
      .map(layerOf);
  }

  /** The layers of an image, topmost first. Errors: `failed-precondition` when one is missing. */
  imageLayers(image: ImageRecord): LayerRecord[] {
    const byId = new Map(this.layers().map((layer) => [layer.id, layer]));
    const result: LayerRecord[] = [];
    for (let id = image.layer; id !== undefined; id = result.at(-1)?.parent) {
      const layer = byId.get(id);
      if (layer === undefined || result.length > byId.size)
        throw new TareError(
          'failed-precondition',
          `Cannot use image ${image.id.slice(0, 12)}: layer ${id} is missing; pull it again`,
        );
      result.push(layer);
    }
    return result;
  }

  /** True when the layers with these diffIds, bottom first, are here as one chain: the last one need not be staged. */
  async hasLayer(diffIds: readonly DiffId[]): Promise<boolean> {
    const { hasChain, layerIds } = await loadCommit();
    return hasChain(this.#parts, await layerIds(diffIds));
  }

  /** Where the tar-split of a layer is (gzip), for rebuilding its tar. It may not exist. */
  tarSplitPath(layerId: string): string {
    return tarSplitPath(this.#parts, requireId(layerId, 'layer id'));
  }

  /** The unpacked tree of a layer. */
  diffPath(layerId: string): string {
    return this.#parts.dirs.at(requireId(layerId, 'layer id'), 'diff');
  }

  /** Starts unpacking a layer. See LayerWriter. */
  async stageLayer(options: StageOptions = {}): Promise<LayerWriter> {
    const { LayerWriter } = await import('./layer-writer.ts');
    return LayerWriter.open(this.#parts, options);
  }

  /** Adds an image and its layers in one step. See `commitImage`. */
  async commitImage(commit: ImageCommit, options: { readonly signal?: AbortSignal } = {}): Promise<ImageRecord> {
    const { commitImage } = await loadCommit();
    return commitImage(this.#parts, commit, options.signal);
  }

  /** See `removeImage`. */
  removeImage(
    reference: string,
    options: { readonly force?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<RemovedImage> {
    const change = loadChanges().then(({ removeImage }) => removeImage(this.#parts, reference, options));
    return this.#change(`remove image ${reference}`, change);
  }

  /** Gives an image another name, which moves from the image that had it. Errors: `not-found`. */
  tag(reference: string, name: string): Promise<ImageRecord> {
    const change = loadChanges().then(({ tagImage }) => tagImage(this.#parts, reference, name));
    return this.#change(`tag image ${reference}`, change);
  }

  /** Takes a name from an image, which stays. Errors: `not-found`. */
  untag(name: string): Promise<ImageRecord> {
    const change = loadChanges().then(({ untagImage }) => untagImage(this.#parts, name));
    return this.#change(`untag ${name}`, change);
  }

  /** Adds a container with a writable layer. See `createContainer`. */
  createContainer(create: ContainerCreate, options: { readonly signal?: AbortSignal } = {}): Promise<CreatedContainer> {
    return createContainer(this.#parts, create, options.signal);
  }

  /** Deletes a container with its layer; false when there was none. */
  removeContainer(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<boolean> {
    return this.#change(`remove container ${id}`, removeContainer(this.#parts, id, options.signal));
  }

  /** Gives a container another name. See `renameContainer`. */
  renameContainer(id: string, name: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#change(`rename container ${id}`, renameContainer(this.#parts, id, name, options.signal));
  }

  /** All containers, podman's too. One whose layer is not complete is being made or removed, or its maker was killed: it is left out. */
  containers(): ContainerRecord[] {
    const complete = new Set(this.layers().map((layer) => layer.id));
    return this.#parts.containers
      .rows()
      .map(containerOf)
      .filter((container) => complete.has(container.layer));
  }

  container(id: string): ContainerRecord | undefined {
    return this.containers().find((container) => container.id === id);
  }

  /** Nobody else, podman neither, chooses ids for a container until this is disposed of. To be taken before any other lock of the store. Errors: `cancelled`. */
  lockIds(signal?: AbortSignal): Promise<Disposable> {
    return HeldLock.take(join(this.#parts.graphRoot, 'userns.lock'), 'write', signal);
  }

  /** The ids that containers have on the machine, podman's too. */
  async idsInUse(): Promise<readonly MountIds[]> {
    const { idMapsOf } = await loadIds();
    return this.#parts.containers.mentioning('host_id').map(({ raw }) => idMapsOf(raw));
  }

  /** The highest owner of any file of an image, as far as that was noted when it was unpacked; 0 without. */
  async highestOwner(image: ImageRecord): Promise<number> {
    const { highestOwnerOf } = await loadIds();
    const ids = new Set(this.imageLayers(image).map(({ id }) => id));
    return highestOwnerOf(this.#parts.layers.rows().filter(({ id }) => ids.has(id)));
  }

  /** The overlay of a container: real absolute paths, nearest lower first. Errors: `not-found`; `failed-precondition` for a damaged store. */
  rootfs(containerId: string): OverlayMount {
    return containerRootfs(this.#parts, containerId);
  }

  /** Counts a mount of a layer that begins (+1) or ended (-1), and resolves to their number. Others do not delete what is counted. */
  mounted(layerId: string, delta: 1 | -1): Promise<number> {
    const path = this.#parts.dirs.at(requireId(layerId, 'layer id'), 'merged');
    return this.#change('count a mount', this.#parts.mounts.add(layerId, path, delta));
  }

  /** Counts the root file system of a container as mounted, once, or no more. Idempotent. Errors: `not-found`. */
  async markMounted(containerId: string, mounted: boolean): Promise<void> {
    const layer = this.#parts.containers.mentioning(containerId).find(({ id }) => id === containerId)?.raw['layer'];
    if (!isId(layer)) throw new TareError('not-found', `Cannot find container ${containerId} in the store`);
    if (this.#parts.mounts.count(layer) > 0 === mounted) return;
    if (mounted) await this.mounted(layer, 1);
    else await this.#change('count a mount', this.#parts.mounts.clear(layer));
  }

  /** Containers whose root file system counts as mounted, whoever mounted it. */
  mountedContainers(): ContainerRecord[] {
    const counted = new Set(this.#parts.mounts.counted());
    if (counted.size === 0) return [];
    const containers = this.#parts.containers.rows().map(containerOf);
    return containers.filter(({ layer }) => counted.has(layer));
  }

  async #change<T>(doing: string, change: Promise<T>): Promise<T> {
    try {
      return await change;
    } catch (error) {
      throw storageError(doing, error);
    }
  }
}

/** What stands in the record of an image that `reference` means. */
function literalOf(reference: string): string {
  return reference.slice(reference.indexOf('@') + 1).replace(/^sha256:/, '');
}

function commonEnd([first = '', ...others]: readonly string[]): string {
  let length = first.length;
  for (const other of others) while (!other.endsWith(first.slice(first.length - length))) length--;
  return first.slice(first.length - length);
}

/** For a store that others are making at the same time, too. */
async function makeLayout(parts: StoreParts, { needsMountProgram }: StoreOptions): Promise<void> {
  if (needsMountProgram === undefined) return ensureLayout(parts);
  mkdirSync(parts.graphRoot, { recursive: true, mode: 0o700 });
  mkdirSync(parts.dirs.home, { recursive: true, mode: 0o700 });
  // Who is killed here leaves nothing that is not collected.
  await using temp = TempDir.create(parts.dirs);
  ensureLayout(parts, await needsMountProgram(temp.path));
}

function ensureRunRoot(parts: StoreParts): void {
  const dir = join(parts.runRoot, 'overlay-layers');
  if (!existsSync(dir)) mkdirSync(dir, { recursive: true, mode: 0o700 });
}
