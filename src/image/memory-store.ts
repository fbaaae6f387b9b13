import { createHash } from 'node:crypto';
import { TareError } from '../base/errors.ts';
import type { DiffId } from '../spec/mod.ts';
import type { ImageCommit, ImageStore, LayerOrigin, LayerWriter, StagedLayer } from './store.ts';

/** A staged layer in memory. */
export interface MemoryLayer extends StagedLayer {
  readonly origin: LayerOrigin;
  readonly tar: Buffer;
}

/** An ImageStore in memory: it keeps the tars as they come, and shows what is open. For tests, and for looking into images. */
export class MemoryImageStore implements ImageStore<MemoryLayer, ImageCommit<MemoryLayer>> {
  /** Committed tars by their chain of diffIds, joined by spaces. */
  readonly layers = new Map<string, Buffer>();
  readonly images: ImageCommit<MemoryLayer>[] = [];
  /** Writers and staged layers that are neither committed nor disposed. */
  readonly open = new Set<object>();

  async hasLayer(diffIds: readonly DiffId[]): Promise<boolean> {
    return this.layers.has(diffIds.join(' '));
  }

  async stageLayer(origin: LayerOrigin): Promise<LayerWriter<MemoryLayer>> {
    const chunks: Uint8Array[] = [];
    const writer: LayerWriter<MemoryLayer> = {
      write: async (bytes) => void chunks.push(Uint8Array.from(bytes)),
      finish: async () => {
        const tar = Buffer.concat(chunks);
        const diffId = `sha256:${createHash('sha256').update(tar).digest('hex')}` as DiffId;
        const dispose = async (): Promise<void> => void this.open.delete(staged);
        const staged: MemoryLayer = { diffId, sizeBytes: tar.length, origin, tar, [Symbol.asyncDispose]: dispose };
        this.open.delete(writer);
        this.open.add(staged);
        return staged;
      },
      [Symbol.asyncDispose]: async () => void this.open.delete(writer),
    };
    this.open.add(writer);
    return writer;
  }

  async commitImage(commit: ImageCommit<MemoryLayer>): Promise<ImageCommit<MemoryLayer>> {
    for (const layer of commit.layers) this.open.delete(layer);
    const chain: DiffId[] = [];
    const added = new Map<string, Buffer>();
    for (const layer of commit.layers) {
      chain.push(layer.diffId);
      const key = chain.join(' ');
      const tar = 'tar' in layer ? layer.tar : this.layers.get(key);
      if (tar === undefined)
        throw new TareError('failed-precondition', `Cannot commit the image: layer ${layer.diffId} is gone`);
      added.set(key, tar);
    }
    for (const [key, tar] of added) this.layers.set(key, tar);
    this.images.push(commit);
    return commit;
  }
}
