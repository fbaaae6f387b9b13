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
export { changeImageProcess, changeInstructions, type ProcessDocument } from './image-change.ts';
export { DOCKER_ARCHIVE_MANIFEST_MAX_BYTES, parseDockerArchive, type DockerArchiveImage } from './docker-archive.ts';
export type { BindMount, Mount, OverlayMount } from './mount.ts';
// Here `Mount` is how storage and runtime meet; the `mounts` of a config.json are `RuntimeMount`.
export type * from './runtime-types.ts';
export type { Mount as RuntimeMount } from './runtime-types.ts';
export { RUNTIME_CONFIG_MAX_BYTES, parseProcess, parseRuntimeConfig } from './runtime-config.ts';
export {
  allCapabilities,
  capabilityBit,
  capabilityMask,
  capabilityNames,
  defaultCapabilities,
  normalCapability,
  tweakCapabilities,
} from './capabilities.ts';
export { parseSignal, signalName } from './signals.ts';
