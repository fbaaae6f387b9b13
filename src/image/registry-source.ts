import { TareError } from '../base/errors.ts';
import { RegistryClient, type RegistryClientOptions } from '../registry/client.ts';
import { registryError } from '../registry/error.ts';
import { MirroredReader } from '../registry/mirrored-reader.ts';
import { Registries } from '../registry/registries.ts';
import type { RegistryReader } from '../registry/registry.ts';
import { formatReference, repositoryName, type Descriptor, type Reference } from '../spec/mod.ts';
import type { RawImageSource } from './source.ts';

/** An image in a registry (docker://): with Registries as they are set up, mirrors included, otherwise just there. `registry` stands in for the network where given. */
export function registrySource(
  reference: Reference,
  options: RegistryClientOptions | Registries = {},
  registry?: RegistryReader,
): RawImageSource {
  const disposal = new DisposableStack();
  const open = (): RegistryReader & Disposable =>
    options instanceof Registries
      ? new MirroredReader(options, reference)
      : new RegistryClient(reference.domain, options);
  const client = registry ?? disposal.use(open());
  const { path, tag, digest } = reference;
  const name = `docker://${formatReference(reference)}`;
  return {
    name,
    origins: [reference],
    // With a digest the tag is only a note, and may since have moved.
    storedName: digest === undefined ? formatReference(reference) : `${repositoryName(reference)}@${digest}`,
    async topManifest(signal) {
      const wanted = digest ?? tag;
      if (wanted === undefined)
        throw registryError('MANIFEST_UNKNOWN', `Cannot read ${name}: it has neither tag nor digest`);
      return client.getManifest(path, wanted, signal && { signal });
    },
    async manifest(descriptor, signal) {
      return (await client.getManifest(path, descriptor.digest, signal && { signal })).bytes;
    },
    async *blob(descriptor: Descriptor, signal) {
      const { sizeBytes, body } = await client.getBlob(path, descriptor.digest, signal && { signal });
      if (sizeBytes !== undefined && sizeBytes !== descriptor.size) {
        throw new TareError(
          'invalid',
          `Cannot use blob ${descriptor.digest} of ${name}: it has ${sizeBytes} bytes, its descriptor says ${descriptor.size}`,
        );
      }
      yield* body;
    },
    async [Symbol.asyncDispose]() {
      disposal.dispose();
    },
  };
}
