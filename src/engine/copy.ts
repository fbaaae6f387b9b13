import { TareError } from '../base/errors.ts';
import { bytesOf, type ByteString } from '../archive/byte-string.ts';
import type { ExtractOptions, ExtractPlace, Owner } from '../archive/tree-extract.ts';
import type { IdChange } from '../archive/mod.ts';
import type { TreeTarOptions } from '../archive/tree-tar.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import { openPath, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from '../sys/open.ts';
import { openContainerView } from './container-files.ts';
import { insideIds, outsideIds } from './container-ids.ts';
import type { Engine } from './engine.ts';
import { copyName, FileTree, type Found, isDirectory, TREE_RESOLVE } from './file-tree.ts';
import { resolveContainer } from './names.ts';
import { wholeTar } from './whole-tar.ts';

/** One end of a copy. */
export type CopyEnd =
  /** A path in a container; relative ones start at its root. */
  | { readonly kind: 'container'; readonly container: string; readonly path: string }
  /** An absolute path of the machine, as the user wrote its end: `/` and `/.` there have a meaning. */
  | { readonly kind: 'host'; readonly path: string };

export interface CopyOptions {
  /** Owners, set-id bits and capabilities as at the source. Otherwise files belong to the container's user, or on the machine to `hostOwner`. */
  readonly archive?: boolean;
  /** A source that is a symbolic link stands for what it leads to. */
  readonly followLink?: boolean;
  /** A file may take the place of a directory, and a directory that of a file. */
  readonly overwrite?: boolean;
  /** Whom files on the machine belong to; default root. */
  readonly hostOwner?: Owner;
  readonly signal?: AbortSignal;
}

/** What a copy did not bring along. */
export interface Copied {
  /** Device nodes: on the machine they would be its own devices. */
  readonly skipped: readonly string[];
}

/**
 * Copies a file or directory between a container, running or not, and the machine, or between two containers, by docker's rules:
 * a file takes the place of a file; into a directory that is there a copy goes with its name; a directory whose destination is missing becomes it; `DIR/.` is the contents of
 * DIR; the destination's parent must be there; a destination that ends in `/` must be a directory. Links on the way to either path are followed, in a container never out of it.
 *
 * Errors: not-found; failed-precondition where a directory and a file meet, or the container is busy; denied for what is read-only; invalid; cancelled; exhausted.
 */
export async function copyFiles(
  engine: Engine,
  from: CopyEnd,
  to: CopyEnd,
  options: CopyOptions = {},
): Promise<Copied> {
  const { treeTar, TreeExtractor } = await import('../archive/mod.ts');
  const places = [from, to].flatMap((end) =>
    end.kind === 'container' ? [resolveContainer(engine, end.container)] : [],
  );
  if (places.length === 2 && places[0] === places[1])
    throw new TareError(
      'unsupported',
      'Cannot copy within one container: use its own tools (tare exec CONTAINER cp …)',
    );
  await using source = await openEnd(engine, from, 'copy from');
  await using target = await openEnd(engine, to, 'copy to');
  using what = findSource(source.tree, from, options.followLink === true);
  using where = findTarget(target.tree, to, what);
  using extractor = new TreeExtractor(where.place, extraction(engine, to, target.config, options));
  for await (const bytes of treeTar(what.found.object, where.name, walkOf(what.found, source, options.signal)))
    extractor.write(bytes);
  extractor.finish();
  return { skipped: extractor.skipped };
}

/**
 * A file or directory of a container as a tar, under its own name; `DIR/.` and `/` with names that begin with `./`. The container is held until the stream ends. Errors: as `copyFiles`.
 */
export async function* copyOut(
  engine: Engine,
  container: string,
  path: string,
  options: Pick<CopyOptions, 'followLink' | 'signal'> = {},
): AsyncGenerator<Uint8Array, void, void> {
  const { treeTar } = await import('../archive/mod.ts');
  const from = { kind: 'container', container, path } as const;
  await using source = await openEnd(engine, from, 'copy from');
  using what = findSource(source.tree, from, options.followLink === true);
  yield* treeTar(what.found.object, what.name === '' ? '.' : what.name, walkOf(what.found, source, options.signal));
}

/**
 * Unpacks a tar (plain, gzip or zstd) into a directory of a container, with the owners that it names. Links that are there are followed as in the container; none leads out of it.
 * Errors: as `copyFiles`; invalid for a damaged archive.
 */
export async function copyIn(
  engine: Engine,
  container: string,
  path: string,
  tar: AsyncIterable<Uint8Array>,
  options: Pick<CopyOptions, 'overwrite' | 'signal'> = {},
): Promise<void> {
  const [{ TreeExtractor }, { openLayerTar }] = await Promise.all([
    import('../archive/mod.ts'),
    import('../image/layer-tar.ts'),
  ]);
  const to = { kind: 'container', container, path } as const;
  await using target = await openEnd(engine, to, 'copy to');
  using dir = target.tree.find(bytesOf(path));
  if (dir === undefined) throw new TareError('not-found', `Cannot copy to ${nameOf(to)}: no such directory`);
  if (!isDirectory(dir)) throw notDirectory(to);
  checkWritable(dir, to);
  using extractor = new TreeExtractor(containerPlace(dir), {
    overwrite: options.overwrite === true,
    devices: engine.rootless === undefined,
    ...idsOf(outsideIds(target.config)),
  });
  await using opened = await openLayerTar(tar, 'the archive');
  for await (const bytes of wholeTar(opened.tar, 'the archive')) {
    if (options.signal?.aborted === true)
      throw new TareError('cancelled', `Cannot copy to ${nameOf(to)}: it was cancelled`, {
        cause: options.signal.reason,
      });
    extractor.write(bytes);
  }
  extractor.finish();
}

/** `/` of a running container without what the kernel shows in it. */
function walkOf({ keep }: Found, { config }: OpenEnd, signal: AbortSignal | undefined): TreeTarOptions {
  return { mounts: 'files', ...idsOf(insideIds(config)), ...(keep && { keep }), ...(signal && { signal }) };
}

function idsOf(ids: IdChange | undefined): { ids?: IdChange } {
  return ids === undefined ? {} : { ids };
}

interface OpenEnd extends AsyncDisposable {
  readonly tree: FileTree;
  readonly config?: RuntimeConfig;
}

async function openEnd(engine: Engine, end: CopyEnd, doing: string): Promise<OpenEnd> {
  if (end.kind === 'host') {
    const tree = new FileTree(openPath('/', { directory: true }));
    return { tree, [Symbol.asyncDispose]: async () => tree[Symbol.dispose]() };
  }
  const view = await openContainerView(engine, end.container, doing);
  return { tree: view.files, config: view.config, [Symbol.asyncDispose]: () => view[Symbol.asyncDispose]() };
}

interface Source extends Disposable {
  readonly found: Found;
  /** What a copy is called; '' when only the contents of a directory are meant. */
  readonly name: ByteString;
}

function findSource(tree: FileTree, from: CopyEnd, followLink: boolean): Source {
  const path = bytesOf(from.path);
  const name = copyName(path);
  const found = tree.find(path, followLink || name === '');
  if (found === undefined) throw new TareError('not-found', `Cannot copy ${nameOf(from)}: no such file or directory`);
  return { found, name, [Symbol.dispose]: () => found[Symbol.dispose]() };
}

interface Target extends Disposable {
  readonly place: ExtractPlace;
  /** What the copy is called in the place; `.`: its contents go there. */
  readonly name: ByteString;
}

function findTarget(tree: FileTree, to: CopyEnd, source: Source): Target {
  const path = bytesOf(to.path);
  const isDir = isDirectory(source.found);
  const there = tree.find(path);
  if (there !== undefined && isDirectory(there)) return target(there, source.name === '' ? '.' : source.name, to);
  using _there = there;
  const wantsDir = /\/\.?$/.test(path);
  if (there !== undefined && isDir)
    throw new TareError('failed-precondition', `Cannot copy a directory to ${nameOf(to)}: a file is there`);
  if (wantsDir && !isDir)
    throw there === undefined
      ? new TareError('not-found', `Cannot copy to ${nameOf(to)}: the directory does not exist`)
      : notDirectory(to);
  if (there !== undefined) checkWritable(there, to);
  const { dir, name } = tree.placeOf(wantsDir ? path.replace(/[/.]+$/, '') : path);
  return target(dir, name, to);
}

/** Links that stand on the way from here are the container's own, which may follow them; on the machine there are none. */
function target(dir: Found, name: ByteString, to: CopyEnd): Target {
  checkWritable(dir, to);
  const place =
    to.kind === 'container'
      ? containerPlace(dir)
      : { root: dir.object, base: '', resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
  return { place, name, [Symbol.dispose]: () => dir[Symbol.dispose]() };
}

function containerPlace({ root, base, covers }: Found): ExtractPlace {
  return { root, base, resolve: TREE_RESOLVE, ...(covers === undefined ? {} : { covers }) };
}

function checkWritable({ readOnly }: Found, to: CopyEnd): void {
  if (readOnly !== undefined) throw new TareError('denied', `Cannot copy to ${nameOf(to)}: ${readOnly}`);
}

function extraction(
  engine: Engine,
  to: CopyEnd,
  config: RuntimeConfig | undefined,
  options: CopyOptions,
): ExtractOptions {
  const user = config?.process?.user;
  const own = to.kind === 'host' ? (options.hostOwner ?? ROOT) : { uid: user?.uid ?? 0, gid: user?.gid ?? 0 };
  return {
    ...(options.archive === true ? {} : { owner: own }),
    xattrs: options.archive === true ? 'all' : 'user',
    // An unprivileged user cannot make any.
    devices: to.kind === 'container' && engine.rootless === undefined,
    overwrite: options.overwrite === true,
    ...idsOf(outsideIds(config)),
  };
}

const ROOT: Owner = { uid: 0, gid: 0 };

function notDirectory(to: CopyEnd): TareError {
  return new TareError('failed-precondition', `Cannot copy to ${nameOf(to)}: it is no directory`);
}

function nameOf(end: CopyEnd): string {
  return end.kind === 'host' ? end.path : `${end.container}:${end.path}`;
}
