import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { capabilityMask, defaultCapabilities } from '../../spec/capabilities.ts';
import { compileDefaultProfile } from './compile-default.ts';
import { cachedDefaultFilter, defaultFilter, defaultFilterName } from './default-filter.ts';
import { decisiveCapabilities } from './default-profile.ts';

function tempDir(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'tare-seccomp-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

const mask = capabilityMask(defaultCapabilities);

test('defaultFilter compiles once, then answers from its cache, the same bytes', async () => {
  using dir = tempDir();
  assert.equal(cachedDefaultFilter(mask, 'x64', dir.path), undefined);
  const made = await defaultFilter(mask, 'x64', dir.path);
  assert.deepEqual(Buffer.from(made), Buffer.from(compileDefaultProfile(mask, 'x64')));
  assert.deepEqual(readdirSync(dir.path), [defaultFilterName(mask, 'x64')]);
  assert.deepEqual(Buffer.from(cachedDefaultFilter(mask, 'x64', dir.path) ?? []), Buffer.from(made));
});

test('cachedDefaultFilter refuses every file with one damaged byte, a shorter one, and one made for other capabilities', async () => {
  using dir = tempDir();
  const filter = await defaultFilter(mask, 'x64', dir.path);
  const path = join(dir.path, defaultFilterName(mask, 'x64'));
  const good = readFileSync(path);
  for (let at = 0; at < good.length; at += at < 32 ? 1 : 61) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ 0x10;
    writeFileSync(path, bad);
    assert.equal(cachedDefaultFilter(mask, 'x64', dir.path), undefined, `byte ${at}`);
  }
  for (const length of [0, 15, 16, 24, good.length - 8, good.length - 1]) {
    writeFileSync(path, good.subarray(0, length));
    assert.equal(cachedDefaultFilter(mask, 'x64', dir.path), undefined, `length ${length}`);
  }
  writeFileSync(join(dir.path, defaultFilterName(0n, 'x64')), good);
  assert.equal(cachedDefaultFilter(0n, 'x64', dir.path), undefined);
  assert.deepEqual(Buffer.from(await defaultFilter(mask, 'x64', dir.path)), Buffer.from(filter));
  assert.deepEqual(readFileSync(path), good);
});

test('defaultFilter works without a cache directory', async () => {
  using dir = tempDir();
  chmodSync(dir.path, 0o500);
  const filter = await defaultFilter(mask, 'arm64', join(dir.path, 'missing'));
  assert.deepEqual(Buffer.from(filter), Buffer.from(compileDefaultProfile(mask, 'arm64')));
});

test('defaultFilterName depends on every capability the profile asks for, and on no other', () => {
  const base = defaultFilterName(0n, 'x64');
  for (const name of decisiveCapabilities)
    assert.notEqual(defaultFilterName(capabilityMask([name]), 'x64'), base, name);
  assert.equal(defaultFilterName(capabilityMask(['CAP_KILL', 'CAP_NET_RAW']), 'x64'), base);
  assert.notEqual(defaultFilterName(0n, 'arm64'), base);
});
