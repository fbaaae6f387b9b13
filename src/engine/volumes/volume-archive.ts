import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { bytesOf } from '../../archive/byte-string.ts';
import { TareError } from '../../base/errors.ts';
import type { Fd } from '../../sys/fd.ts';
import { openDirectory, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS } from '../../sys/open.ts';
import { streamOf } from '../../sys/read-stream.ts';
import { emit } from '../emit.ts';
import type { Engine } from '../engine.ts';
import { fileError } from '../file-error.ts';
import { wholeTar } from '../whole-tar.ts';
import { settleContents } from './copy-up.ts';
import { holdFilling, holdVolume } from './hold-volume.ts';
import { mountLocal } from './local-mount.ts';
import { DATA, isPlain, noVolume, readVolume, volumePath } from './volume.ts';

/** The files of a volume as a tar, streamed, entries in the order of their names; what a container changes meanwhile is as it is when it is read. Nobody removes it until the stream ends. Errors: not-found; cancelled; by errno. */
export async function* exportVolume(
  engine: Engine,
  name: string,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, void> {
  const { treeTar } = await import('../../archive/mod.ts');
  using volume = await openVolume(engine, name, 'export', options.signal);
  yield* treeTar(volume.data, bytesOf('.'), options.signal === undefined ? {} : { signal: options.signal });
}

export interface ImportVolumeOptions {
  /** A file's path, a descriptor that is read to its end, or the bytes: a tar, plain, gzip or zstd. */
  readonly input: string | number | AsyncIterable<Uint8Array>;
  /** Where a relative path starts. */
  readonly cwd?: string;
  readonly signal?: AbortSignal;
}

/**
 * Unpacks a tar into a volume, on top of what is there: a file takes the place of a file, directories are merged; the volume itself gets owner and mode where the archive has them (`./`). No link, in the archive or in the volume, leads out of it. A kill leaves the files
 * that were complete.
 *
 * Errors: not-found; invalid for a damaged archive; failed-precondition where a directory and a file meet; exhausted; cancelled.
 */
export async function importVolume(engine: Engine, name: string, options: ImportVolumeOptions): Promise<void> {
  const { input, signal } = options;
  const what = typeof input === 'string' ? input : '-';
  const [{ TreeExtractor }, { openLayerTar }] = await Promise.all([
    import('../../archive/mod.ts'),
    import('../../image/layer-tar.ts'),
  ]);
  using volume = await openVolume(engine, name, 'import into', signal);
  const place = { root: volume.data, base: bytesOf(''), resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
  using extractor = new TreeExtractor(place, { devices: engine.rootless === undefined, root: true });
  await using tar = await openLayerTar(bytesIn(input, options.cwd ?? '/', signal), what);
  if (volume.isPlain) {
    using _alone = await holdFilling(engine, name, signal);
    settleContents(engine, name);
  }
  for await (const bytes of wholeTar(tar.tar, what)) {
    if (signal?.aborted === true)
      throw new TareError('cancelled', `Cannot import into volume ${name}: it was cancelled`, { cause: signal.reason });
    extractor.write(bytes);
  }
  extractor.finish();
  emit(engine, { type: 'volume', action: 'import', id: name, name });
}

interface OpenVolume extends Disposable {
  readonly data: Fd;
  readonly isPlain: boolean;
}

async function openVolume(engine: Engine, name: string, doing: string, signal?: AbortSignal): Promise<OpenVolume> {
  using stack = new DisposableStack();
  const life = await holdVolume(engine, name, signal);
  if (life === undefined) throw noVolume(name, doing);
  stack.use(life);
  const record = readVolume(engine, name, doing);
  const plain = isPlain(record);
  const mounted = plain ? undefined : stack.use(await mountLocal(record));
  const data = stack.use(
    mounted === undefined ? openDirectory(volumePath(engine, name, DATA)) : openDirectory('.', { dir: mounted }),
  );
  const kept = stack.move();
  return { data, isPlain: plain, [Symbol.dispose]: () => kept.dispose() };
}

function bytesIn(
  input: ImportVolumeOptions['input'],
  cwd: string,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  if (typeof input === 'number') return streamOf(input, signal);
  return typeof input === 'string' ? fileBytes(resolve(cwd, input), signal) : input;
}

async function* fileBytes(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array, void, void> {
  try {
    // A FIFO waits for its writer: not on this thread.
    await using file = await open(path, 'r');
    yield* streamOf(file.fd, signal);
  } catch (error) {
    throw fileError(error, `import ${path}`);
  }
}
