import type { OpenDestinationOptions, OpenSourceOptions } from '../image/mod.ts';
import type { Engine } from './engine.ts';
import { storedImage } from './find-image.ts';
import type { RegistryAccess } from './registries.ts';

/** How images are reached. */
export interface ImagePlaceOptions {
  /** Where relative paths start. */
  readonly cwd?: string;
  /** PEM certificates to trust for registries besides the system's. */
  readonly ca?: readonly string[];
  /** How registries are reached, instead of the engine's way. */
  readonly registryAccess?: RegistryAccess;
}

/** The wiring of every use case that opens places of images, to read or to write. */
export async function placesOf(
  engine: Engine,
  options: ImagePlaceOptions,
): Promise<OpenSourceOptions & OpenDestinationOptions> {
  return {
    cwd: options.cwd ?? '/',
    registry: await registryOf(options.registryAccess ?? engine.registryAccess, options.ca),
    stored: (image) => storedImage(engine, image, 'read'),
  };
}

async function registryOf(
  access: RegistryAccess | undefined,
  ca: readonly string[] | undefined,
): Promise<NonNullable<OpenSourceOptions['registry']>> {
  if (access === undefined) return ca === undefined ? {} : { ca };
  const { registriesFor } = await import('./registries.ts');
  return registriesFor({ ...access, ...(ca !== undefined && { ca }) });
}
