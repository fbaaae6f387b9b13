import { resolve } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { RegistryClientOptions } from '../registry/client.ts';
import type { Registries } from '../registry/registries.ts';
import type { BlobCache } from './blob-cache.ts';
import { formatImageLocation, type FileTransport, type ImageChoice, type ImageLocation } from './location.ts';
import { ImageSource, type RawImageSource } from './source.ts';
import type { StoredImage } from './storage-source.ts';

export interface OpenSourceOptions {
  /** Relative paths of layouts and archives start here. */
  readonly cwd: string;
  /** For docker://. */
  readonly registry?: RegistryClientOptions | Registries | (() => Promise<Registries>);
  /** For containers-storage: finds an image. Errors: `not-found`. */
  readonly stored?: (image: string) => Promise<StoredImage>;
  /** Where the store's layers may still be as they were fetched. */
  readonly blobCache?: BlobCache;
  /** Absolute; /var/tmp unless stated. Compressed archives are unpacked here while they are read. */
  readonly tempDir?: string;
}

/** Where temporary copies go unless stated. Not /tmp: that is often memory. */
export const TEMP_DIR = '/var/tmp';

/**
 * Opens the place an image is at. A registry is not connected to yet; an archive's table of contents is read.
 *
 * Errors: `not-found`, `denied`, `invalid`, `unsupported`.
 */
export async function openImageSource(location: ImageLocation, options: OpenSourceOptions): Promise<ImageSource> {
  return new ImageSource(await rawSource(location, options));
}

async function rawSource(location: ImageLocation, options: OpenSourceOptions): Promise<RawImageSource> {
  switch (location.transport) {
    case 'docker': {
      const { registrySource } = await import('./registry-source.ts');
      return registrySource(location.reference, await registryOf(options));
    }
    case 'containers-storage': {
      if (options.stored === undefined)
        throw new TareError(
          'unsupported',
          `Cannot open ${formatImageLocation(location)}: there is no image store here`,
        );
      const { storageSource } = await import('./storage-source.ts');
      return storageSource(await options.stored(location.image), options.blobCache);
    }
    case 'dir': {
      const { DirectorySource } = await import('./directory-source.ts');
      const { openDirectoryFiles } = await import('./directory-files.ts');
      return new DirectorySource(
        openDirectoryFiles(resolve(options.cwd, location.path)),
        formatImageLocation(location),
      );
    }
    default:
      return fileSource(location, options);
  }
}

/** How registries are reached, asked for only when one is. */
export async function registryOf({
  registry,
}: Pick<OpenSourceOptions, 'registry'>): Promise<RegistryClientOptions | Registries | undefined> {
  return typeof registry === 'function' ? registry() : registry;
}

async function fileSource(
  location: { readonly transport: FileTransport; readonly path: string } & ImageChoice,
  options: OpenSourceOptions,
): Promise<RawImageSource> {
  const path = resolve(options.cwd, location.path);
  const name = formatImageLocation(location);
  if (location.transport === 'oci') {
    const { LayoutSource } = await import('./layout-source.ts');
    const { openDirectoryFiles } = await import('./directory-files.ts');
    return new LayoutSource(openDirectoryFiles(path), location, name);
  }
  const { openArchiveFiles } = await import('./archive-files.ts');
  const files = await openArchiveFiles(path, { tempDir: options.tempDir ?? TEMP_DIR });
  if (location.transport === 'docker-archive') {
    const { DockerArchiveSource } = await import('./docker-archive-source.ts');
    return new DockerArchiveSource(files, location, name);
  }
  const { LayoutSource } = await import('./layout-source.ts');
  return new LayoutSource(files, location, name);
}
