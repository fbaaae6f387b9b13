import type { OpenDestinationOptions, OpenSourceOptions } from '../image/mod.ts';
import type { Engine } from './engine.ts';
import { storedImage } from './find-image.ts';
import { keptBlobs } from './kept-blobs.ts';
import type { RegistryAccess } from './registries.ts';

/** How images are reached. What is not said of registries is as the engine's user has it set up. */
export interface ImagePlaceOptions extends Partial<RegistryAccess> {
  /** Where relative paths start. */
  readonly cwd?: string;
}

/** The wiring of every use case that opens places of images, to read or to write. Registries are looked at when one is used. */
export async function placesOf(
  engine: Engine,
  options: ImagePlaceOptions,
): Promise<OpenSourceOptions & OpenDestinationOptions> {
  const { cwd = '/', ...access } = options;
  return {
    cwd,
    registry: async () => {
      const { registriesFor } = await import('./registries.ts');
      return registriesFor({ env: engine.env, uid: engine.uid, ...access });
    },
    stored: (image) => storedImage(engine, image, 'read'),
    blobCache: await keptBlobs(engine),
  };
}
