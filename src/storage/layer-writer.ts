import type { Hash } from 'node:crypto';
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Gzip } from 'node:zlib';
import { LayerUnpacker } from '../archive/mod.ts';
import type { Digest, DiffId } from '../spec/digest.ts';
import { openDirectory } from '../sys/open.ts';
import { storageError } from './_file.ts';
import type { StoreParts } from './_parts.ts';
import { hasMountProgram } from './mount-program.ts';
import { TempDir } from './temp-dir.ts';

export interface StageOptions {
  /** Of the blob as it came, and its media type and size: remembered so that the layer can be found by them. */
  readonly compressedDigest?: Digest;
  readonly mediaType?: string;
  readonly compressedSizeBytes?: number;
}

/** The blob a layer came from. */
export interface LayerBlob {
  readonly digest?: Digest;
  readonly sizeBytes?: number;
  /** As containers/storage numbers it: 0 none, 2 gzip, 4 zstd. */
  readonly compression: number;
}

/**
 * A layer that is unpacked and complete but no part of the store yet. `commitImage` takes it over; disposing deletes it.
 */
export class StagedLayer implements AsyncDisposable {
  /** Of the tar that was written. */
  readonly diffId: DiffId;
  /** Of the tar. */
  readonly sizeBytes: number;
  readonly blob: LayerBlob;
  readonly uids: readonly number[];
  readonly gids: readonly number[];
  /** The tar described its root directory. */
  readonly hasRoot: boolean;
  /** Holds `diff`, the unpacked tree. */
  readonly dir: string;
  readonly tarSplit: string;
  readonly #temp: TempDir;

  constructor(temp: TempDir, about: Pick<StagedLayer, 'diffId' | 'sizeBytes' | 'blob' | 'uids' | 'gids' | 'hasRoot'>) {
    this.#temp = temp;
    this.diffId = about.diffId;
    this.sizeBytes = about.sizeBytes;
    this.blob = about.blob;
    this.uids = about.uids;
    this.gids = about.gids;
    this.hasRoot = about.hasRoot;
    this.dir = join(temp.path, 'layer');
    this.tarSplit = join(temp.meta().path, 'tar-split.gz');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#temp[Symbol.asyncDispose]();
  }
}

/**
 * Unpacks the tar of one layer into a staging directory, in one pass with its diffId and its tar-split. Takes no lock of the store; several work in
 * parallel. Disposing before `finish` abandons it; afterwards the StagedLayer owns what was written.
 */
export class LayerWriter implements AsyncDisposable {
  readonly #temp: TempDir;
  readonly #blob: LayerBlob;
  readonly #hash: Hash;
  readonly #gzip: Gzip;
  readonly #splitDone: Promise<void>;
  readonly #unpacker: LayerUnpacker;
  #finished = false;
  #splitFailed: unknown;

  private constructor(
    temp: TempDir,
    blob: LayerBlob,
    hash: Hash,
    gzip: Gzip,
    unpacker: LayerUnpacker,
    splitDone: Promise<void>,
  ) {
    this.#temp = temp;
    this.#blob = blob;
    this.#hash = hash;
    this.#gzip = gzip;
    this.#unpacker = unpacker;
    this.#splitDone = splitDone;
    // Awaited in finish(); an earlier failure must not go unhandled meanwhile.
    splitDone.catch((error: unknown) => (this.#splitFailed = error));
  }

  /** Starts one in the store's staging area. Errors: `exhausted`, `denied`; by errno. */
  static async open(parts: StoreParts, options: StageOptions): Promise<LayerWriter> {
    const [{ createHash }, { createGzip }] = await Promise.all([import('node:crypto'), import('node:zlib')]);
    const { mediaType = '' } = options;
    const blob: LayerBlob = {
      ...(options.compressedDigest === undefined ? {} : { digest: options.compressedDigest }),
      ...(options.compressedSizeBytes === undefined ? {} : { sizeBytes: options.compressedSizeBytes }),
      compression: mediaType.endsWith('gzip') ? 2 : mediaType.endsWith('zstd') ? 4 : 0,
    };
    const temp = TempDir.create(parts.dirs);
    try {
      const diff = join(temp.path, 'layer', 'diff');
      mkdirSync(join(temp.path, 'layer'), { mode: 0o700 });
      mkdirSync(diff, { mode: 0o700 });
      const gzip = createGzip({ level: 1 });
      const file = createWriteStream(join(temp.meta().path, 'tar-split.gz'), { flags: 'wx', mode: 0o600 });
      gzip.on('error', (error) => file.destroy(error));
      file.on('error', (error) => gzip.destroy(error));
      gzip.pipe(file);
      using dir = openDirectory(diff);
      const unpacker = new LayerUnpacker(dir, {
        userXattr: parts.userXattr,
        devices: !parts.userXattr,
        whiteouts: hasMountProgram(parts.dirs.home) ? 'files' : 'marks',
        onSplit: (lines) => void gzip.write(lines),
      });
      return new LayerWriter(temp, blob, createHash('sha256'), gzip, unpacker, finished(file));
    } catch (error) {
      await temp[Symbol.asyncDispose]();
      throw storageError('stage a layer', error);
    }
  }

  /**
   * The next bytes of the uncompressed tar; resolves when more may come. They are not kept.
   *
   * Errors: `invalid` for what no layer may hold (see LayerUnpacker), `exhausted` for a full disk; by errno. Then only disposing is left.
   */
  async write(tarBytes: Uint8Array): Promise<void> {
    this.#hash.update(tarBytes);
    await this.#unpacker.write(tarBytes);
    while (this.#gzip.writableNeedDrain && this.#splitFailed === undefined) {
      await Promise.race([new Promise<void>((resolve) => void this.#gzip.once('drain', resolve)), this.#splitDone]);
    }
    if (this.#splitFailed !== undefined) throw storageError('write the layer', this.#splitFailed);
  }

  /** No more bytes. The layer is complete on disk (not synced). Errors: as `write`; `invalid` for a tar that is cut short. */
  async finish(): Promise<StagedLayer> {
    const { sizeBytes, uids, gids, hasRoot } = await this.#unpacker.finish();
    this.#gzip.end();
    try {
      await this.#splitDone;
    } catch (error) {
      throw storageError('write the layer', error);
    }
    this.#finished = true;
    const diffId = `sha256:${this.#hash.digest('hex')}` as DiffId;
    return new StagedLayer(this.#temp, { diffId, sizeBytes, blob: this.#blob, uids, gids, hasRoot });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#finished) return;
    await this.#unpacker[Symbol.asyncDispose]();
    // The file may be about to be opened, in the directory that is deleted next.
    this.#gzip.destroy(new Error('abandoned'));
    await this.#splitDone.catch(() => {});
    await this.#temp[Symbol.asyncDispose]();
  }
}
