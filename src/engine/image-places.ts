import type { OpenDestinationOptions, OpenSourceOptions } from '../image/mod.ts';
import type { Engine } from './engine.ts';
import { storedImage } from './find-image.ts';

/** How images are reached. */
export interface ImagePlaceOptions {
  /** Where relative paths start. */
  readonly cwd?: string;
  /** PEM certificates to trust for registries besides the system's. */
  readonly ca?: readonly string[];
  /** False: registries need not show a certificate that is trusted, and may speak plain http. */
  readonly tlsVerify?: boolean;
}

/** The wiring of every use case that opens places of images, to read or to write. */
export function placesOf(engine: Engine, options: ImagePlaceOptions): OpenSourceOptions & OpenDestinationOptions {
  const { ca, tlsVerify } = options;
  return {
    cwd: options.cwd ?? '/',
    registry: { ...(ca !== undefined && { ca }), ...(tlsVerify !== undefined && { tlsVerify }) },
    stored: (image) => storedImage(engine, image, 'read'),
  };
}
