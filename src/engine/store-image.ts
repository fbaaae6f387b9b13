import { TareError } from '../base/errors.ts';
import type { BaseImage, ImageExtension } from '../image/mod.ts';
import { parseImageConfig } from '../spec/image-config.ts';
import type { ImageRecord, Store } from '../storage/mod.ts';
import { newImageName } from './tag.ts';

export interface StoreImageHow extends Omit<ImageExtension, 'layer'> {
  /** The image below, and its documents. */
  readonly base?: BaseImage;
  readonly name?: string;
  readonly signal?: AbortSignal;
  /** The most bytes of the layer's tar. */
  readonly maxLayerBytes?: number;
}

const MAX_LAYER_BYTES = 64 * 2 ** 30;

/**
 * Stores an image made here: the tar becomes its top layer, in one pass, and all of it appears in one step. Layers of the base are used as they are.
 *
 * Errors: invalid for a tar that is no layer, a bad name or config; failed-precondition when a layer of the base is gone; exhausted; cancelled.
 */
export async function storeImage(
  store: Store,
  tar: AsyncIterable<Uint8Array>,
  how: StoreImageHow,
): Promise<{ readonly image: ImageRecord; readonly name: string | undefined }> {
  const { extendImage } = await import('../image/mod.ts');
  const name = how.name === undefined ? undefined : newImageName(how.name);
  const below = how.base === undefined ? [] : parseImageConfig(how.base.config).diffIds;
  if (below.length > 0 && !(await store.hasLayer(below)))
    throw new TareError(
      'failed-precondition',
      'Cannot make image: the layers of its base are not in the store under the names that follow from them; pull it again',
    );
  await using writer = await store.stageLayer();
  let bytes = 0;
  for await (const part of tar) {
    if (how.signal?.aborted === true)
      throw new TareError('cancelled', 'Cannot make image: it was cancelled', { cause: how.signal.reason });
    bytes += part.byteLength;
    if (bytes > (how.maxLayerBytes ?? MAX_LAYER_BYTES))
      throw new TareError('exhausted', `Cannot make image: its layer has more than ${MAX_LAYER_BYTES} bytes`);
    await writer.write(part);
  }
  await using layer = await writer.finish();
  const { config, manifest } = extendImage(how.base, { ...how, layer });
  const layers = [...below.map((diffId) => ({ diffId })), layer];
  const image = await store.commitImage(
    { layers, config, manifest, names: name === undefined ? [] : [name] },
    how.signal === undefined ? {} : { signal: how.signal },
  );
  return { image, name };
}
