import { resolve } from 'node:path';
import { definedOf } from '../base/defined.ts';
import type { PullEvent } from '../image/mod.ts';
import { emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { wantedPlatform } from './images.ts';
import { keepingBlobs } from './kept-blobs.ts';

export interface LoadImagesOptions {
  /** A path of an archive or directory, or a descriptor. */
  readonly input: string | number;
  /** Where a relative path starts. */
  readonly cwd?: string;
  readonly platform?: string;
  readonly onProgress?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
}

export interface LoadedImage {
  readonly imageId: string;
  /** Full names that it got. */
  readonly names: readonly string[];
}

/**
 * Brings all images of an archive (docker-archive or oci-archive, also compressed) or directory into the store, with the names that they have there. Yields each image when it
 * is in the store.
 *
 * Errors: not-found, denied, invalid, unsupported, exhausted, cancelled.
 */
export async function* loadImages(engine: Engine, options: LoadImagesOptions): AsyncGenerator<LoadedImage, void, void> {
  const { openImages, pullImage, TEMP_DIR } = await import('../image/mod.ts');
  const store = await engine.store();
  const { input, cwd = '/', signal } = options;
  await using place = await openImages(typeof input === 'string' ? resolve(cwd, input) : input, {
    tempDir: TEMP_DIR,
    ...definedOf({ signal }),
  });
  for (const image of place.images) {
    await using source = image.open();
    const { record, names } = await keepingBlobs(engine, (keep) =>
      pullImage(source, store, {
        platform: wantedPlatform(options.platform),
        names: image.names,
        ...definedOf({ signal, progress: options.onProgress }),
        ...keep,
      }),
    );
    emit(engine, { type: 'image', action: 'load', id: record.id, name: names[0] ?? record.id });
    yield { imageId: record.id, names };
  }
}
