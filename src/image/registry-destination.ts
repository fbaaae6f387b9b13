import { TareError, isKind } from '../base/errors.ts';
import { RegistryClient, type RegistryClientOptions } from '../registry/client.ts';
import type { Registry } from '../registry/registry.ts';
import { formatReference, type Reference, type RepositoryPath } from '../spec/mod.ts';
import type { ImageDestination } from './destination.ts';

/** How many other repositories are asked to share a blob. */
const MAX_MOUNTS = 4;

/**
 * A tag, or a digest, in a registry (docker://). `registry` stands in for the network where given. Errors: `invalid` for a reference with both tag and digest.
 */
export function registryDestination(
  reference: Reference,
  options: RegistryClientOptions = {},
  registry?: Registry,
): ImageDestination {
  const { domain, path, tag, digest } = reference;
  const name = `docker://${formatReference(reference)}`;
  const target = digest ?? tag;
  if (target === undefined || (digest !== undefined && tag !== undefined))
    throw new TareError('invalid', `Cannot push to ${name}: it must have either a tag or a digest`);
  const disposal = new DisposableStack();
  const client: Registry = registry ?? disposal.use(new RegistryClient(domain, options));
  return {
    name,
    takes: { layers: 'any', manifests: 'any', indexes: true },
    async hasBlob(blob, { signal, origins = [] } = {}) {
      const request = signal === undefined ? {} : { signal };
      try {
        await client.headBlob(path, blob.digest, request);
        return true;
      } catch (error) {
        if (!isKind(error, 'not-found')) throw error;
      }
      for (const from of repositoriesOf(origins, domain, path)) {
        try {
          if (await client.mountBlob(path, blob.digest, from, request)) return true;
        } catch (error) {
          // We may not read there, or it is gone: the blob is sent.
          if (!isKind(error, 'denied') && !isKind(error, 'not-found')) throw error;
        }
      }
      return false;
    },
    async putBlob(blob, open, putOptions) {
      await client.putBlob(path, blob, open, putOptions);
    },
    async streamBlob(body, finish, putOptions) {
      await client.streamBlob(path, body, finish, putOptions);
    },
    async putManifest(manifest, putOptions) {
      await client.putManifest(path, manifest.digest, manifest, putOptions);
    },
    async commit(top, putOptions) {
      if (digest !== undefined && digest !== top.digest)
        throw new TareError('failed-precondition', `Cannot push to ${name}: the image's digest is ${top.digest}`);
      await client.putManifest(path, target, top, putOptions);
    },
    async [Symbol.asyncDispose]() {
      disposal.dispose();
    },
  };
}

/** The other repositories of the same registry, each once. */
function repositoriesOf(origins: readonly Reference[], domain: string, path: RepositoryPath): RepositoryPath[] {
  const paths = origins
    .filter((origin) => origin.domain === domain && origin.path !== path)
    .map((origin) => origin.path);
  return [...new Set(paths)].slice(0, MAX_MOUNTS);
}
