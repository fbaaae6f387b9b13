import { resolve } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { RegistryClientOptions } from '../registry/client.ts';
import type { Registries } from '../registry/registries.ts';
import { formatReference, parseReference, withDefaultTag } from '../spec/mod.ts';
import type { ImageDestination } from './destination.ts';
import { formatImageLocation, type FileTransport, type ImageChoice, type ImageLocation } from './location.ts';
import { registryOf, TEMP_DIR } from './open-source.ts';

export interface OpenDestinationOptions {
  /** Relative paths start here. */
  readonly cwd: string;
  /** For docker://. */
  readonly registry?: RegistryClientOptions | Registries | (() => Promise<Registries>);
  /** Absolute; /var/tmp unless stated. Layers wait here whose size must be known before they are written. */
  readonly tempDir?: string;
}

/**
 * Opens the place an image is to go to. A registry is not connected to yet, a directory is not made yet.
 *
 * Errors: `invalid`, `unsupported` for a place that cannot be written to; `denied`, `not-found` for an archive's directory.
 */
export async function openImageDestination(
  location: ImageLocation,
  options: OpenDestinationOptions,
): Promise<ImageDestination> {
  const name = formatImageLocation(location);
  switch (location.transport) {
    case 'docker': {
      const { registryDestination } = await import('./registry-destination.ts');
      return registryDestination(location.reference, await registryOf(options));
    }
    case 'dir': {
      const { directoryDestination } = await import('./directory-destination.ts');
      return directoryDestination(resolve(options.cwd, location.path), name);
    }
    case 'containers-storage':
      throw new TareError('unsupported', `Cannot write ${name}: images come into the store by pull or load`);
    default:
      return fileDestination(location, options);
  }
}

async function fileDestination(
  location: { readonly transport: FileTransport; readonly path: string } & ImageChoice,
  options: OpenDestinationOptions,
): Promise<ImageDestination> {
  const name = formatImageLocation(location);
  const { tempDir = TEMP_DIR } = options;
  if (location.index !== undefined)
    throw new TareError('invalid', `Cannot write ${name}: @${location.index} chooses an image to read`);
  const path = resolve(options.cwd, location.path);
  if (location.transport === 'oci') {
    const { layoutDestination } = await import('./layout-destination.ts');
    return layoutDestination(path, location.name, name);
  }
  const { fileOutput } = await import('./archive-output.ts');
  if (location.transport === 'oci-archive') {
    const { layoutArchiveDestination } = await import('./layout-archive-destination.ts');
    return layoutArchiveDestination(await fileOutput(path), location.name, name, tempDir);
  }
  const { dockerArchiveDestination } = await import('./docker-archive-destination.ts');
  const names = location.name === undefined ? [] : [formatReference(withDefaultTag(parseReference(location.name)))];
  return dockerArchiveDestination(await fileOutput(path), names, name, tempDir);
}
