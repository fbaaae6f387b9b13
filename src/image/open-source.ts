import { resolve } from 'node:path';
import type { RegistryClientOptions } from '../registry/client.ts';
import type { Registries } from '../registry/registries.ts';
import { formatImageLocation, type ImageLocation } from './location.ts';
import { ImageSource } from './source.ts';

export interface OpenSourceOptions {
  /** Relative paths of layouts and archives start here. */
  readonly cwd: string;
  /** For docker://. */
  readonly registry?: RegistryClientOptions | Registries;
}

/**
 * Opens the place an image is at. A registry is not connected to yet; an archive's table of contents is read.
 *
 * Errors: `not-found`, `denied`, `invalid`, `unsupported`.
 */
export async function openImageSource(location: ImageLocation, options: OpenSourceOptions): Promise<ImageSource> {
  if (location.transport === 'docker') {
    const { registrySource } = await import('./registry-source.ts');
    return new ImageSource(registrySource(location.reference, options.registry));
  }
  const path = resolve(options.cwd, location.path);
  const { LayoutSource } = await import('./layout-source.ts');
  const files =
    location.transport === 'oci'
      ? (await import('./layout-directory.ts')).openLayoutDirectory(path)
      : await (await import('./layout-archive.ts')).openLayoutArchive(path);
  return new ImageSource(new LayoutSource(files, location.name, formatImageLocation(location)));
}
