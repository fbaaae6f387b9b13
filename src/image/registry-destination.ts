import { TareError, isKind } from '../base/errors.ts';
import { RegistryClient, type RegistryClientOptions } from '../registry/client.ts';
import { Registries } from '../registry/registries.ts';
import type { Registry } from '../registry/registry.ts';
import { formatReference, type Reference, type RepositoryPath } from '../spec/mod.ts';
import type { ImageDestination } from './destination.ts';

/** How many other repositories are asked to share a blob. */
const MAX_MOUNTS = 4;

/** A repository, reached. */
interface Place {
  readonly client: Registry;
  readonly path: RepositoryPath;
  /** It is somewhere else than its name says: other names of that registry mean nothing here. */
  readonly isRemapped: boolean;
}

/**
 * A tag, or a digest, in a registry (docker://): with Registries as they are set up, otherwise just there. `registry` stands in for the network where given.
 * Errors: `invalid` for a reference with both tag and digest.
 */
export function registryDestination(
  reference: Reference,
  options: RegistryClientOptions | Registries = {},
  registry?: Registry,
): ImageDestination {
  const { domain, path: ownPath, tag, digest } = reference;
  const name = `docker://${formatReference(reference)}`;
  const target = digest ?? tag;
  if (target === undefined || (digest !== undefined && tag !== undefined))
    throw new TareError('invalid', `Cannot push to ${name}: it must have either a tag or a digest`);
  const disposal = new DisposableStack();
  const reach = async (): Promise<Place> => {
    if (registry !== undefined) return { client: registry, path: ownPath, isRemapped: false };
    if (!(options instanceof Registries))
      return { client: disposal.use(new RegistryClient(domain, options)), path: ownPath, isRemapped: false };
    const endpoint = await options.toWrite(reference);
    const isRemapped = endpoint.domain !== domain || endpoint.path !== ownPath;
    return { client: disposal.use(options.open(endpoint)), path: endpoint.path, isRemapped };
  };
  let reached: Promise<Place> | undefined;
  const place = (): Promise<Place> => (reached ??= reach());
  return {
    name,
    takes: { layers: 'any', manifests: 'any', indexes: true },
    repository: reference,
    async hasBlob(blob, { signal, origins = [] } = {}) {
      const { client, path, isRemapped } = await place();
      const request = signal === undefined ? {} : { signal };
      try {
        await client.headBlob(path, blob.digest, request);
        return true;
      } catch (error) {
        if (!isKind(error, 'not-found')) throw error;
      }
      for (const from of isRemapped ? [] : repositoriesOf(origins, domain, path)) {
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
      const { client, path } = await place();
      await client.putBlob(path, blob, open, putOptions);
    },
    async streamBlob(body, finish, putOptions) {
      const { client, path } = await place();
      await client.streamBlob(path, body, finish, putOptions);
    },
    async putManifest(manifest, putOptions) {
      const { client, path } = await place();
      await client.putManifest(path, manifest.digest, manifest, putOptions);
    },
    async commit(top, putOptions) {
      if (digest !== undefined && digest !== top.digest)
        throw new TareError('failed-precondition', `Cannot push to ${name}: the image's digest is ${top.digest}`);
      const { client, path } = await place();
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
