/**
 * The vocabulary of OCI and Docker as plain types, with the parsers that are the only way from untrusted text to them.
 *
 * Nothing here opens a file, hashes a byte or imports more than `base`: it costs a start next to nothing.
 * Reading order: digest, reference, descriptor, platform, media-type, manifest, image-config; then mount and the runtime's words.
 */
export {
  digestAlgorithm,
  digestHex,
  imageIdOf,
  isDigest,
  parseDiffId,
  parseDigest,
  parseImageId,
  type DiffId,
  type Digest,
  type DigestAlgorithm,
  type ImageId,
} from './digest.ts';
export {
  familiarName,
  familiarReference,
  formatReference,
  parseReference,
  parseRepositoryPath,
  parseTag,
  repositoryName,
  withDefaultTag,
  type Reference,
  type RepositoryPath,
  type Tag,
} from './reference.ts';
export type { Descriptor } from './descriptor.ts';
export {
  choosePlatform,
  formatPlatform,
  hostPlatform,
  normalPlatform,
  parsePlatform,
  platformRank,
  type Platform,
} from './platform.ts';
export { bareMediaType, isImageConfigType, isLayerType, manifestTypes, mediaTypes } from './media-type.ts';
export {
  MANIFEST_MAX_BYTES,
  MANIFEST_MAX_ENTRIES,
  parseManifest,
  type ImageIndex,
  type ImageManifest,
  type Manifest,
} from './manifest.ts';
export {
  IMAGE_CONFIG_MAX_BYTES,
  MAX_ID,
  parseImageConfig,
  parseImageUser,
  type Healthcheck,
  type HistoryEntry,
  type ImageConfig,
  type ImageProcess,
  type ImageUser,
} from './image-config.ts';
export type { BindMount, Mount, OverlayMount } from './mount.ts';
