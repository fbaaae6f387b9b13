import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDigest, parseRepositoryPath, parseTag, type Digest, type RepositoryPath, type Tag } from '../spec/mod.ts';
import { RegistryError, registryError } from './error.ts';
import type { Registry } from './registry.ts';

/** One request to the server. */
export interface Call {
  readonly registry: Registry;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
}

/** Errors: RegistryError NAME_INVALID. */
export function repositoryOf(name: string): RepositoryPath {
  try {
    return parseRepositoryPath(name);
  } catch (cause) {
    throw new RegistryError(400, 'NAME_INVALID', 'Cannot use the repository: its name is invalid', { cause });
  }
}

/** Errors: RegistryError DIGEST_INVALID. */
export function digestOfPath(text: string): Digest {
  if (!isDigest(text)) throw registryError('DIGEST_INVALID', 'Cannot use the digest: it is invalid');
  return text;
}

/** Errors: RegistryError DIGEST_INVALID, MANIFEST_UNKNOWN. */
export function referenceOf(text: string): Tag | Digest {
  if (text.includes(':')) return digestOfPath(text);
  try {
    return parseTag(text);
  } catch (cause) {
    throw new RegistryError(404, 'MANIFEST_UNKNOWN', 'Cannot find the image: its tag is invalid', { cause });
  }
}
