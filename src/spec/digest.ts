/** Digests and the identifiers made of them (OCI image spec, descriptor.md "Digests"). Parsed once into a type, so that no unchecked text reaches a URL or a path. */
import { invalid, shown } from './_document.ts';

declare const digestBrand: unique symbol;
declare const diffIdBrand: unique symbol;
declare const imageIdBrand: unique symbol;

/** `algorithm:hex` of bytes as they are stored or sent (for a layer: the compressed bytes; see DiffId for the uncompressed ones). */
export type Digest = string & { readonly [digestBrand]: true };

/** `algorithm:hex` of a layer's uncompressed tar. */
export type DiffId = string & { readonly [diffIdBrand]: true };

/** 64 lower-case hexadecimal digits: an image's id in containers/storage, the hash of its config. */
export type ImageId = string & { readonly [imageIdBrand]: true };

/** The hash algorithms Tare takes, by the names both OCI and node:crypto use. */
export type DigestAlgorithm = 'sha256' | 'sha384' | 'sha512';

const pattern = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/;

/** True for a well-formed digest of a known algorithm with exactly its number of lower-case hex digits. */
export function isDigest(text: string): text is Digest {
  return pattern.test(text);
}

/** Errors: `invalid`. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text))
    throw invalid(`digest ${shown(text)}`, 'it is not sha256, sha384 or sha512 with its lower-case hexadecimal digits');
  return text;
}

/** Errors: `invalid`. */
export function parseDiffId(text: string): DiffId {
  return parseDigest(text) as string as DiffId;
}

/** Errors: `invalid`. */
export function parseImageId(text: string): ImageId {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw invalid(`image id ${shown(text)}`, 'it is not 64 lower-case hexadecimal digits');
  return text as ImageId;
}

/** The id containers/storage gives to an image with this config. Errors: `invalid` unless it is a sha256 digest. */
export function imageIdOf(configDigest: Digest): ImageId {
  return parseImageId(digestHex(configDigest));
}

/** The part before the colon. */
export function digestAlgorithm(digest: Digest | DiffId): DigestAlgorithm {
  return digest.slice(0, 6) as DigestAlgorithm;
}

/** The part after the colon. */
export function digestHex(digest: Digest | DiffId): string {
  return digest.slice(7);
}
