import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { parseTag } from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import { writeLayout } from '../../test/support/image.ts';
import { noRegistry, startRegistry, type TestRegistry } from '../../test/support/registry.ts';
import { RegistryClient } from './client.ts';
import { MemoryRegistry } from './memory.ts';
import { registryContents, registrySuite } from './registry.suite.ts';
import { registryHandler } from './server.ts';

const contents = registryContents();

function memory(): MemoryRegistry {
  const registry = new MemoryRegistry();
  for (const image of contents.images) {
    for (const { bytes } of [image.config, ...image.layers]) registry.addBlob(contents.repository, bytes);
  }
  for (const [name, { bytes, descriptor }] of Object.entries(contents.tags)) {
    registry.addManifest(contents.repository, bytes, descriptor.mediaType, parseTag(name));
  }
  return registry;
}

registrySuite('memory', contents, async () => ({ registry: memory(), async [Symbol.asyncDispose]() {} }));

registrySuite('client to server to memory', contents, async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await serve(registryHandler(memory())));
  const registry = stack.use(new RegistryClient(`127.0.0.1:${server.port}`));
  const kept = stack.move();
  return { registry, [Symbol.asyncDispose]: () => kept.disposeAsync() };
});

for (const tls of [false, true]) {
  let started: Promise<TestRegistry> | undefined;
  const start = async (): Promise<TestRegistry> => {
    const registry = await startRegistry({ tls });
    const dir = mkdtempSync(join(tmpdir(), 'tare-contents-'));
    try {
      writeLayout(dir, contents.blobs, contents.tags);
      for (const name of Object.keys(contents.tags))
        registry.push(`oci:${dir}:${name}`, `${contents.repository}:${name}`, { all: true });
      return registry;
    } finally {
      rmSync(dir, { recursive: true });
    }
  };
  after(async () => (await started)?.[Symbol.asyncDispose]());
  registrySuite(
    `client to docker-registry over ${tls ? 'TLS with an authority of its own' : 'plain http on localhost'}`,
    contents,
    async () => {
      const { domain, ca } = await (started ??= start());
      const registry = new RegistryClient(domain, ca === undefined ? {} : { ca: [ca] });
      return {
        registry,
        async [Symbol.asyncDispose]() {
          registry[Symbol.dispose]();
        },
      };
    },
    { skip: noRegistry() },
  );
}
