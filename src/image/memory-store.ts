import { createHash } from 'node:crypto';
import { TareError } from '../base/errors.ts';
import type { DiffId } from '../spec/mod.ts';
import type { CommitImage, ImageStore, LayerWriter, StagedLayer } from './store.ts';

/** An ImageStore in memory: it keeps the tars as they come, and shows what was abandoned. For tests and for looking into images. */
export class MemoryImageStore implements ImageStore<StagedLayer, CommitImage<StagedLayer>> {
  /** Committed tars by their chain of diffIds, joined by spaces. */
  readonly layers = new Map<string, Uint8Array>();
  readonly images: CommitImage<StagedLayer>[] = [];
  /** Writers that are neither committed nor disposed. */
  readonly open = new Set<object>();
  readonly #staged = new Map<StagedLayer, Uint8Array>();

  hasLayer(chain: readonly DiffId[]): boolean {
    return this.layers.has(chain.join(' '));
  }

  stageLayer(): LayerWriter<StagedLayer> {
    const chunks: Uint8Array[] = [];
    let staged: StagedLayer | undefined;
    const writer: LayerWriter<StagedLayer> = {
      write: async (bytes) => void chunks.push(Uint8Array.from(bytes)),
      finish: async () => {
        const tar = Buffer.concat(chunks);
        staged = {
          diffId: `sha256:${createHash('sha256').update(tar).digest('hex')}` as DiffId,
          sizeBytes: tar.length,
        };
        this.#staged.set(staged, tar);
        return staged;
      },
      [Symbol.asyncDispose]: async () => {
        this.open.delete(writer);
        if (staged !== undefined) this.#staged.delete(staged);
      },
    };
    this.open.add(writer);
    return writer;
  }

  async commitImage(image: CommitImage<StagedLayer>): Promise<CommitImage<StagedLayer>> {
    const chain: DiffId[] = [];
    const added = new Map<string, Uint8Array>();
    for (const { diffId, staged } of image.layers) {
      chain.push(diffId);
      const key = chain.join(' ');
      const tar = staged === undefined ? this.layers.get(key) : this.#staged.get(staged);
      if (tar === undefined)
        throw new TareError('failed-precondition', `Cannot commit the image: layer ${diffId} is gone`);
      added.set(key, tar);
    }
    for (const [key, tar] of added) this.layers.set(key, tar);
    this.images.push(image);
    return image;
  }
}
