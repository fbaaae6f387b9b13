import { join } from 'node:path';
import { definedOf } from '../base/defined.ts';
import { TareError } from '../base/errors.ts';
import type {
  ImageDestination,
  ImageLocation,
  ImageSource,
  LayerCompression,
  ManifestFormat,
  PullEvent,
} from '../image/mod.ts';
import { parseReference } from '../spec/reference.ts';
import { emit } from './emit.ts';
import type { Engine } from './engine.ts';
import { storedImage } from './find-image.ts';
import { placesOf, type ImagePlaceOptions } from './image-places.ts';
import { wantedPlatform } from './images.ts';

export interface PushImageOptions extends ImagePlaceOptions {
  /** All images of an index, from a source that has them all. */
  readonly all?: boolean;
  /** The manifest's family; what it is unless stated. */
  readonly format?: ManifestFormat;
  /** Layers that are compressed in another way are compressed anew. */
  readonly compressionFormat?: 'gzip' | 'zstd';
  readonly compressionLevel?: number;
  readonly platform?: string;
  readonly onProgress?: (event: PullEvent) => void;
  readonly signal?: AbortSignal;
}

export interface PushedImage {
  /** Of the manifest at the destination. */
  readonly digest: string;
  /** False when layers had to be compressed anew, or the manifest was converted: then the digest is not the source's. */
  readonly isSame: boolean;
  /** Where it is now, for people. */
  readonly destination: string;
}

/**
 * Copies an image of the store, or of another place (`oci:…`), to a registry, archive or directory. Without a destination it goes to the registry that its name says.
 *
 * Errors: not-found, denied, unavailable, invalid, cancelled, unsupported; failed-precondition for an image without a name and no destination.
 */
export async function pushImage(
  engine: Engine,
  image: string,
  destination: string | undefined,
  options: PushImageOptions = {},
): Promise<PushedImage> {
  const { compressedBlobsIn, copyImage, openImageDestination, openImageSource } = await import('../image/mod.ts');
  checkLevel(options);
  const places = await placesOf(engine, options);
  const from = await sourceOf(engine, image, options.all === true);
  await using source: ImageSource = await openImageSource(from, places);
  const to = await destinationOf(destination, source.storedName, image);
  await using target: ImageDestination = await openImageDestination(to, places);
  const { manifest, isSame } = await copyImage(source, target, {
    platform: wantedPlatform(options.platform),
    compressedBlobs: compressedBlobsIn(join(engine.cacheDir, 'compressed')),
    compression: definedOf({
      format: options.compressionFormat,
      level: options.compressionLevel,
      force: options.compressionFormat === undefined ? undefined : true,
    }) as Partial<LayerCompression>,
    ...definedOf({ all: options.all, format: options.format, progress: options.onProgress, signal: options.signal }),
  });
  emit(engine, {
    type: 'image',
    action: 'push',
    id: manifest.digest,
    name: image,
    attributes: { destination: target.name },
  });
  return { digest: manifest.digest, isSame, destination: target.name };
}

/** What is pushed: an image of the store, unless a transport is named. */
async function sourceOf(engine: Engine, image: string, all: boolean): Promise<ImageLocation> {
  const { parseImageLocation } = await import('../image/mod.ts');
  if (/^(?:docker:\/\/|(?:oci|oci-archive|docker-archive|dir|containers-storage):)/.test(image))
    return parseImageLocation(image);
  if (all)
    throw new TareError(
      'unsupported',
      `Cannot push all images of ${image}: the store holds the one for this platform; name a place that has them all, like docker://${image}`,
    );
  await storedImage(engine, image, 'push');
  return { transport: 'containers-storage', image };
}

/** Where it goes. An archive that is given no name gets the image's. */
async function destinationOf(
  text: string | undefined,
  name: string | undefined,
  image: string,
): Promise<ImageLocation> {
  const { parseImageLocation } = await import('../image/mod.ts');
  if (text === undefined) {
    if (name === undefined || parseReference(name).tag === undefined)
      throw new TareError(
        'failed-precondition',
        `Cannot push ${image}: it has no name that says where to; name a destination`,
      );
    return parseImageLocation(`docker://${name}`);
  }
  const location = parseImageLocation(text);
  const isNameless =
    location.transport === 'docker-archive' && location.name === undefined && location.index === undefined;
  return isNameless && name !== undefined ? { ...location, name } : location;
}

function checkLevel({ compressionFormat = 'gzip', compressionLevel: level }: PushImageOptions): void {
  const [min, max] = compressionFormat === 'gzip' ? [0, 9] : [1, 22];
  if (level !== undefined && (level < min || level > max))
    throw new TareError('invalid', `Cannot compress at level ${level}: ${compressionFormat} has ${min} to ${max}`);
}
