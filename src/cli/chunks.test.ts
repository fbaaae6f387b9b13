import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { nodeFlags } from '../../tools/node-flags.ts';
import { asChunk, bundleNames, Chunks, copiedFiles, type Files, isCacheable } from './chunks.ts';
import { mappedFiles } from './mapped-files.ts';

const packageDir = join(import.meta.dirname, '../..');

/** A folder with one bundle, `b`, whose caches are beside its files. */
function folder(t: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'tare-chunks-'));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(join(dir, 'b'));
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, 'b', name), typeof content === 'string' ? asChunk(content) : content);
  return dir;
}

const chunksOf = (dir: string, files?: Files): Chunks => new Chunks({ bundles: dir, caches: dir }, 'b', files);

const readers: readonly Files[] = [copiedFiles, mappedFiles];

test('mapped files say what is on the disk, also to a function compiled later', (t) => {
  const dir = folder(t, { 'a-01234567.cjs': 'exports.later=(a)=>a+"after"', 'b.cjs': Buffer.alloc(0) });
  for (const files of readers) {
    const chunk = chunksOf(dir, files).load('a-01234567.cjs') as { later: (a: string) => string };
    assert.equal(chunk.later('just '), 'just after');
    assert.match(chunk.later.toString(), /=>a\+"after"$/);
    assert.equal(files.text(join(dir, 'b', 'b.cjs')), '');
    assert.equal(files.bytes(join(dir, 'none')), undefined);
    assert.throws(() => files.text(join(dir, 'none')), { code: 'ENOENT' });
    // The memory is ours, the file is not.
    const path = join(dir, 'b', 'a-01234567.cjs');
    const before = readFileSync(path);
    files.bytes(path)?.fill(0);
    assert.deepEqual(readFileSync(path), before);
  }
});

test('Chunks loads each file once, gives it its neighbours and the modules of Node', (t) => {
  const dir = folder(t, {
    'a.cjs': `const b=require("./b.cjs");exports.twice=()=>require("./b.cjs")===b;exports.sum=b.one+require("node:path").sep.length;exports.dir=__dirname`,
    'b.cjs': `globalThis.loads=(globalThis.loads??0)+1;exports.one=1`,
  });
  const chunks = chunksOf(dir);
  const a = chunks.load('a.cjs') as { twice(): boolean; sum: number; dir: string };
  assert.equal(a.sum, 2);
  assert.equal(a.dir, dir);
  assert.ok(a.twice());
  assert.equal((globalThis as { loads?: number }).loads, 1);
  assert.deepEqual(
    [...chunks.loaded].map(({ name }) => name),
    ['a.cjs', 'b.cjs'],
  );
});

test('Chunks ignores a cache of other contents, and one that is damaged', (t) => {
  for (const cache of ['', 'rubbish', 'x'.repeat(9_999)].map((text) => Buffer.from(text))) {
    const dir = folder(t, { 'a-01234567.cjs': 'exports.value=3', 'a-01234567.cjs.cache': cache });
    for (const files of readers) assert.deepEqual(chunksOf(dir, files).load('a-01234567.cjs'), { value: 3 });
  }
});

test('Chunks does not run the cache of an older file of the same name and length', (t) => {
  const older = folder(t, { 'a.cjs': 'exports.value=3' });
  const chunks = chunksOf(older);
  chunks.load('a.cjs');
  const [chunk] = [...chunks.loaded];
  const newer = folder(t, { 'a.cjs': 'exports.value=4', 'a.cjs.cache': chunk?.script.createCachedData() ?? '' });
  assert.deepEqual(chunksOf(newer).load('a.cjs'), { value: 4 });
});

for (const name of bundleNames)
  test(`the code cache of the bundle ${name} is accepted by a process with the flags of the launcher`, () => {
    const places = { bundles: join(packageDir, 'dist/bin'), caches: join(packageDir, 'build/code-cache') };
    const program = `
      import { Chunks } from ${JSON.stringify(join(packageDir, 'src/cli/chunks.ts'))};
      const chunks = new Chunks(${JSON.stringify(places)}, ${JSON.stringify(name)});
      chunks.load('entry.cjs');
      console.log(JSON.stringify([...chunks.loaded].map(({ name, script }) => [name, script.cachedDataRejected])));`;
    const { stdout, stderr } = spawnSync(process.execPath, [...nodeFlags, '--input-type=module', '-e', program], {
      encoding: 'utf8',
    });
    const loaded = JSON.parse(stdout || `"${stderr.slice(0, 400)}"`) as [string, boolean | null][];
    assert.ok(loaded.length >= 2);
    for (const [file, rejected] of loaded)
      assert.equal(
        rejected ?? undefined,
        isCacheable(file) ? false : undefined,
        `${file}: false means a cache was there and taken`,
      );
    assert.ok(loaded.some(([file]) => file.startsWith('core-')));
  });

/** Paths below dist/bin. */
function bundleFiles(): string[] {
  return readdirSync(join(packageDir, 'dist/bin'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.cjs'),
  );
}

test('what is read as latin1 is ASCII only', () => {
  const files = bundleFiles();
  assert.ok(files.length > bundleNames.length * 50);
  for (const name of files)
    assert.doesNotMatch(readFileSync(join(packageDir, 'dist/bin', name), 'latin1'), /[^\x00-\x7f]/, name);
});

test('what every command loads brings none of the modules of Node that take milliseconds', () => {
  const bundle = join(packageDir, 'dist/bin');
  const core = bundleFiles().filter((path) => /(?:^|\/)(?:core|store|entry|main)\b[^/]*$/.test(path));
  assert.ok(core.length > 3 * bundleNames.length, core.join(' '));
  for (const name of core) {
    const text = readFileSync(join(bundle, name), 'latin1');
    const heavy = [
      ...text.matchAll(
        /(?:let|const|var) \w+=require\("(node:(?:http|https|http2|net|tls|crypto|zlib|stream|child_process|fs\/promises))"\)/g,
      ),
    ];
    assert.deepEqual(
      heavy.map(([, id]) => id),
      [],
      `${name} requires them at its top`,
    );
  }
});
