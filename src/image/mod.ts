/**
 * Images on their way: from where they are (a registry, a layout, an archive, the store) into a store, or to another such place.
 *
 * Reading order: location.ts (what a user writes), source.ts (the only way to an image's bytes, which checks them), the transports registry-source.ts, layout-source.ts,
 * docker-archive-source.ts and directory-source.ts over directory-files.ts and archive-files.ts, storage-source.ts; then store.ts (what a pull asks of a store) and pull.ts, the
 * story. The other way: destination.ts (what every place promises), the *-destination.ts, and copy.ts with copy-layer.ts.
 * Importing this loads zlib and crypto, and for a registry http: only `location.ts` is free.
 */
export {
  formatImageLocation,
  parseImageLocation,
  type FileTransport,
  type ImageChoice,
  type ImageLocation,
} from './location.ts';
export { TEMP_DIR, openImageSource, type OpenSourceOptions } from './open-source.ts';
export { openImages, type ImageAtPlace, type ImagesAtPlace } from './open-images.ts';
export {
  ImageSource,
  type LayerTarSource,
  type RawImageSource,
  type ReadOptions,
  type SourceManifest,
  type TopManifest,
} from './source.ts';
export { registrySource } from './registry-source.ts';
export { storageSource, type StoredImage } from './storage-source.ts';
export { MemoryBlobCache, type BlobCache, type CachedBlob } from './blob-cache.ts';
export { pullImage, resolveImage, type Pulled, type PullEvent, type PullOptions } from './pull.ts';
export { compressionOf, openLayerTar, type Compression, type LayerTar } from './layer-tar.ts';
export { MemoryImageStore, type MemoryLayer } from './memory-store.ts';
export type { ImageCommit, ImageStore, LayerOrigin, LayerWriter, StagedLayer } from './store.ts';
export { openImageDestination, type OpenDestinationOptions } from './open-destination.ts';
export type {
  BlobToPut,
  DestinationTraits,
  HasBlobOptions,
  ImageDestination,
  ManifestToPut,
  PutOptions,
} from './destination.ts';
export { registryDestination } from './registry-destination.ts';
export { copyImage, type Copied, type CopyOptions } from './copy.ts';
export type { ManifestFormat } from './rewrite-manifest.ts';
export type { LayerCompression } from './compress-layer.ts';
export { extendImage, type BaseImage, type ExtendedImage, type ImageExtension } from './extend-image.ts';
export { fdOutput, fileOutput, type ArchiveOutput } from './archive-output.ts';
export { directoryDestination } from './directory-destination.ts';
export { DockerArchiveWriter, dockerArchiveDestination } from './docker-archive-destination.ts';
export { layoutArchiveDestination } from './layout-archive-destination.ts';
export { layoutDestination } from './layout-destination.ts';
export { compressedBlobsIn, type CompressedBlobs } from './compressed-blobs.ts';
