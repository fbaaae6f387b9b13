import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { mediaTypes, parseRepositoryPath, parseTag } from '../spec/mod.ts';
import { serve } from '../../test/support/http.ts';
import { MemoryRegistry } from './memory.ts';
import { MirroredReader } from './mirrored-reader.ts';
import { Registries, type RegistriesOptions } from './registries.ts';
import { registryFiles } from './registry-files.ts';
import { registryHandler } from './server.ts';
import { collect } from './verified.ts';

const path = parseRepositoryPath('team/app');
const tag = parseTag('one');
const manifest = Buffer.from('{"schemaVersion":2}');

/** A registry behind a password, with a count of what it saw of Authorization. */
async function guarded(registry: MemoryRegistry) {
  const seen = new Set<string>();
  const handler = registryHandler(registry);
  const server = await serve((request, response) => {
    seen.add(request.headers.authorization ?? '');
    if (request.headers.authorization !== undefined || request.url === '/v2/') return handler(request, response);
    response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
  });
  return { ...server, seen, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function withRegistries(
  conf: string,
  options: Partial<RegistriesOptions>,
  body: (registries: Registries) => Promise<void>,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tare-mirrors-'));
  try {
    writeFileSync(join(dir, 'registries.conf'), conf);
    const registriesConf = [join(dir, 'registries.conf')];
    const files = { ...registryFiles({ HOME: dir }, 0), authFiles: [], registriesConf, registriesConfDirs: [] };
    await body(new Registries({ files, env: {}, client: { retry: { attempts: 1 } }, ...options }));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('MirroredReader: the user’s own credentials go to the registry that is named, not to a mirror', async () => {
  const registry = new MemoryRegistry();
  registry.addManifest(path, manifest, mediaTypes.ociManifest, tag);
  await using mirror = await guarded(registry);
  await using own = await guarded(registry);
  const domain = `127.0.0.1:${own.port}`;
  const conf = `[[registry]]\nlocation = "${domain}"\n[[registry.mirror]]\nlocation = "localhost:${mirror.port}"\n`;
  await withRegistries(conf, { credentials: { username: 'ann', password: 'x' } }, async (registries) => {
    using reader = new MirroredReader(registries, { domain, path, tag });
    assert.deepEqual(Buffer.from((await reader.getManifest(path, tag)).bytes), manifest);
  });
  assert.deepEqual([[...mirror.seen], own.seen.size], [[''], 2]);
});

test('MirroredReader: what was cancelled is not asked of the next place', async () => {
  let asked = 0;
  await using server = await serve((_, response) => {
    asked++;
    response.writeHead(404).end();
  });
  const domain = `127.0.0.1:${server.port}`;
  const conf = `[[registry]]\nlocation = "${domain}"\n[[registry.mirror]]\nlocation = "${domain}/mirror"\n`;
  await withRegistries(conf, {}, async (registries) => {
    using reader = new MirroredReader(registries, { domain, path, tag });
    await assert.rejects(reader.getManifest(path, tag, { signal: AbortSignal.abort() }), (e) => isKind(e, 'cancelled'));
    assert.equal(asked, 0);
  });
});

test('MirroredReader: the place that had the manifest is asked for blobs, then those behind it', async () => {
  const [mirror, own] = [new MemoryRegistry(), new MemoryRegistry()];
  const seen: string[] = [];
  const handlers = { mirror: registryHandler(mirror), own: registryHandler(own) };
  await using first = await serve((request, response) => (seen.push('mirror'), handlers.mirror(request, response)));
  await using second = await serve((request, response) => (seen.push('own'), handlers.own(request, response)));
  mirror.addManifest(path, manifest, mediaTypes.ociManifest, tag);
  const there = mirror.addBlob(path, Buffer.from('there'));
  const behind = own.addBlob(path, Buffer.from('behind'));
  own.addManifest(path, manifest, mediaTypes.ociManifest, parseTag('two'));
  const domain = `127.0.0.1:${second.port}`;
  const conf = `[[registry]]\nlocation = "${domain}"\n[[registry.mirror]]\nlocation = "localhost:${first.port}"\n`;
  await withRegistries(conf, {}, async (registries) => {
    using reader = new MirroredReader(registries, { domain, path, tag });
    await reader.getManifest(path, tag);
    assert.equal(String(await collect((await reader.getBlob(path, there)).body, 100, 'blob')), 'there');
    assert.ok(!seen.includes('own'));
    assert.equal((await reader.headBlob(path, behind)).sizeBytes, 6);
    const tags: string[] = [];
    for await (const name of reader.tags(path)) tags.push(name);
    assert.deepEqual(tags, ['two']);
  });
});
