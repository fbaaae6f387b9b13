/**
 * Images on their way: from where they are (a registry, an OCI layout in a directory or an archive) into a store.
 *
 * Reading order: location.ts (what a user writes), source.ts (the only way to an image's bytes, which checks them), the transports registry-source.ts,
 * layout-source.ts with layout-directory.ts and layout-archive.ts, then store.ts (what a pull asks of a store) and pull.ts, the story.
 * Importing this loads zlib and crypto, and for a registry http: only `location.ts` is free.
 */
export { formatImageLocation, parseImageLocation, type ImageLocation } from './location.ts';
export { openImageSource, type OpenSourceOptions } from './open-source.ts';
export { ImageSource, type RawImageSource, type ReadOptions, type SourceManifest, type TopManifest } from './source.ts';
export { registrySource } from './registry-source.ts';
export { pullImage, resolveImage, type Pulled, type PullEvent, type PullOptions } from './pull.ts';
export { compressionOf, openLayerTar, type Compression, type LayerTar } from './layer-tar.ts';
export { MemoryImageStore, type MemoryLayer } from './memory-store.ts';
export type { ImageCommit, ImageStore, LayerOrigin, LayerWriter, StagedLayer } from './store.ts';
