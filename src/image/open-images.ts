import { statSync } from 'node:fs';
import { TareError } from '../base/errors.ts';
import { openArchiveFiles, type ArchiveOptions } from './archive-files.ts';
import { openDirectoryFiles } from './directory-files.ts';
import { DirectorySource } from './directory-source.ts';
import { DockerArchiveSource, namesInArchive, readDockerArchive } from './docker-archive-source.ts';
import type { ImageFiles } from './image-files.ts';
import { LayoutSource, layoutName, readLayoutIndex, storedNameOf } from './layout-source.ts';
import { ImageSource, type RawImageSource } from './source.ts';

/** One of the images at a place. */
export interface ImageAtPlace {
  /** Full references that it has there. */
  readonly names: readonly string[];
  /** Good as long as the place is open. */
  open(): ImageSource;
}

/** A place with all its images. */
export interface ImagesAtPlace extends AsyncDisposable {
  readonly images: readonly ImageAtPlace[];
}

/**
 * Opens whatever `save` writes: an archive (a path, or a descriptor that is borrowed), or a directory. What it is, its files say; an archive that is both an OCI layout and a
 * docker-archive, as newer Dockers write, is taken as the former, which keeps manifests.
 *
 * Errors: `not-found`, `denied`, `invalid` for neither; `unsupported`.
 */
export async function openImages(input: string | number, options: ArchiveOptions): Promise<ImagesAtPlace> {
  const isDirectory = typeof input === 'string' && statSync(input, { throwIfNoEntry: false })?.isDirectory() === true;
  const files = isDirectory ? openDirectoryFiles(input) : await openArchiveFiles(input, options);
  try {
    return {
      images: await imagesOf(files, options.signal),
      [Symbol.asyncDispose]: () => files[Symbol.asyncDispose](),
    };
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}

async function imagesOf(files: ImageFiles, signal: AbortSignal | undefined): Promise<ImageAtPlace[]> {
  // Each source would close the files that they all read.
  const shared: ImageFiles = {
    place: files.place,
    open: (path) => files.open(path),
    has: (path) => files.has(path),
    async [Symbol.asyncDispose]() {},
  };
  const image = (names: readonly string[], make: () => RawImageSource): ImageAtPlace => ({
    names,
    open: () => new ImageSource(make()),
  });
  const { place } = files;
  if (files.has('oci-layout') && files.has('index.json')) {
    return (await readLayoutIndex(files, place, signal)).map((descriptor, index) => {
      const name = storedNameOf(layoutName(descriptor));
      return image(
        name === undefined ? [] : [name],
        () => new LayoutSource(shared, { index }, `${place} (image ${index + 1})`),
      );
    });
  }
  if (files.has('version') && files.has('manifest.json')) return [image([], () => new DirectorySource(shared, place))];
  if (files.has('manifest.json')) {
    return (await readDockerArchive(files, signal)).map((entry, index) =>
      image(namesInArchive(entry), () => new DockerArchiveSource(shared, { index }, `${place} (image ${index + 1})`)),
    );
  }
  throw new TareError('invalid', `Cannot load ${place}: it is no docker-archive and no OCI layout`);
}
