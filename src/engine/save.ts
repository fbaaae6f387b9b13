import { resolve } from 'node:path';
import { definedOf } from '../base/defined.ts';
import { TareError } from '../base/errors.ts';
import type { ArchiveOutput, ImageDestination, PullEvent, StoredImage } from '../image/mod.ts';
import type { Engine } from './engine.ts';
import { storedImage } from './find-image.ts';
import { keptBlobs } from './kept-blobs.ts';
import { wantedPlatform } from './images.ts';

/** The forms that images are saved in. */
export const saveFormats = ['docker-archive', 'oci-archive', 'oci-dir', 'docker-dir'] as const;
export type SaveFormat = (typeof saveFormats)[number];

export interface SaveImagesOptions {
  readonly format: SaveFormat;
  /** A path, or a descriptor (archives only). */
  readonly output: string | number;
  /** Where a relative path starts. */
  readonly cwd?: string;
  readonly onProgress?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
}

/** One image with the names that are saved. */
interface Saved extends StoredImage {
  readonly names: readonly string[];
}

/**
 * Writes images of the store to an archive or directory; several only to a docker-archive. Each keeps the names it was asked for by. A file appears when it is complete.
 *
 * Errors: not-found, denied, exhausted, cancelled; invalid for several images in a form that holds one; failed-precondition for a damaged store.
 */
export async function saveImages(engine: Engine, images: readonly string[], options: SaveImagesOptions): Promise<void> {
  const { DockerArchiveWriter, ImageSource, copyImage, fdOutput, fileOutput, storageSource, TEMP_DIR } =
    await import('../image/mod.ts');
  const saved = await imagesToSave(engine, images);
  const { format, output, cwd = '/' } = options;
  const copying = {
    platform: wantedPlatform(undefined),
    ...definedOf({ progress: options.onProgress, signal: options.signal }),
  };
  const blobCache = await keptBlobs(engine);
  const copy = async (image: Saved, destination: ImageDestination): Promise<void> => {
    await using source = new ImageSource(storageSource(image, blobCache));
    await copyImage(source, destination, copying);
  };
  const open = (): ArchiveOutput | Promise<ArchiveOutput> =>
    typeof output === 'number' ? fdOutput(output) : fileOutput(resolve(cwd, output));
  if (format === 'docker-archive') {
    await using writer = new DockerArchiveWriter(await open(), TEMP_DIR);
    for (const image of saved) {
      await using destination = writer.image(image.names, `${format}:${String(output)}`);
      await copy(image, destination);
    }
    return await writer.commit();
  }
  const [image, ...others] = saved;
  if (image === undefined || others.length > 0)
    throw new TareError('invalid', `Cannot save ${saved.length} images: a ${format} holds one; use docker-archive`);
  await using destination = await singleDestination(
    image,
    format,
    typeof output === 'number' ? await open() : resolve(cwd, output),
  );
  await copy(image, destination);
}

/** Several names of one image make one entry. */
async function imagesToSave(engine: Engine, images: readonly string[]): Promise<Saved[]> {
  const saved = new Map<string, Saved>();
  for (const text of images) {
    const found = await storedImage(engine, text, 'save');
    const names = [...(saved.get(found.image.id)?.names ?? []), ...(found.name === undefined ? [] : [found.name])];
    saved.set(found.image.id, { ...found, names: [...new Set(names)] });
  }
  return [...saved.values()];
}

async function singleDestination(
  { names: [name] }: Saved,
  format: SaveFormat,
  output: string | ArchiveOutput,
): Promise<ImageDestination> {
  const { TEMP_DIR, directoryDestination, fileOutput, layoutArchiveDestination, layoutDestination } =
    await import('../image/mod.ts');
  if (format === 'oci-archive') {
    const archive = typeof output === 'string' ? await fileOutput(output) : output;
    return layoutArchiveDestination(
      archive,
      name,
      `oci-archive:${typeof output === 'string' ? output : '-'}`,
      TEMP_DIR,
    );
  }
  if (typeof output !== 'string')
    throw new TareError('invalid', `Cannot save to standard output: a ${format} is a directory; name it with --output`);
  return format === 'oci-dir'
    ? layoutDestination(output, name, `oci:${output}`)
    : directoryDestination(output, `dir:${output}`);
}
