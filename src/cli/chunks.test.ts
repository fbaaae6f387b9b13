import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { nodeFlags } from '../../tools/node-flags.ts';
import { asChunk, Chunks, copiedFiles, type Files, isCacheable } from './chunks.ts';
import { mappedFiles } from './mapped-files.ts';

const packageDir = join(import.meta.dirname, '../..');

function folder(t: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'tare-chunks-'));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(dir, name), typeof content === 'string' ? asChunk(content) : content);
  return dir;
}

const readers: readonly Files[] = [copiedFiles, mappedFiles];

test('mapped files say what is on the disk, also to a function compiled later', (t) => {
  const dir = folder(t, { 'a-01234567.cjs': 'exports.later=(a)=>a+"after"', 'b.cjs': Buffer.alloc(0) });
  for (const files of readers) {
    const chunk = new Chunks(dir, dir, files).load('a-01234567.cjs') as { later: (a: string) => string };
    assert.equal(chunk.later('just '), 'just after');
    assert.match(chunk.later.toString(), /=>a\+"after"$/);
    assert.equal(files.text(join(dir, 'b.cjs')), '');
    assert.equal(files.bytes(join(dir, 'none')), undefined);
    assert.throws(() => files.text(join(dir, 'none')), { code: 'ENOENT' });
    // The memory is ours, the file is not.
    const before = readFileSync(join(dir, 'a-01234567.cjs'));
    files.bytes(join(dir, 'a-01234567.cjs'))?.fill(0);
    assert.deepEqual(readFileSync(join(dir, 'a-01234567.cjs')), before);
  }
});

test('Chunks loads each file once, gives it its neighbours and the modules of Node', (t) => {
  const dir = folder(t, {
    'a.cjs': `const b=require("./b.cjs");exports.twice=()=>require("./b.cjs")===b;exports.sum=b.one+require("node:path").sep.length;exports.dir=__dirname`,
    'b.cjs': `globalThis.loads=(globalThis.loads??0)+1;exports.one=1`,
  });
  const chunks = new Chunks(dir, join(dir, 'none'));
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
    for (const files of readers) assert.deepEqual(new Chunks(dir, dir, files).load('a-01234567.cjs'), { value: 3 });
  }
});

test('Chunks does not run the cache of an older file of the same name and length', (t) => {
  const older = folder(t, { 'a.cjs': 'exports.value=3' });
  const chunks = new Chunks(older, older);
  chunks.load('a.cjs');
  const [chunk] = [...chunks.loaded];
  const newer = folder(t, { 'a.cjs': 'exports.value=4', 'a.cjs.cache': chunk?.script.createCachedData() ?? '' });
  assert.deepEqual(new Chunks(newer, newer).load('a.cjs'), { value: 4 });
});

test('the code cache of the build is accepted by a process with the flags of the launcher, and is ASCII only', () => {
  const program = `
    import { Chunks } from ${JSON.stringify(join(packageDir, 'src/cli/chunks.ts'))};
    const chunks = new Chunks(${JSON.stringify(join(packageDir, 'dist/bin'))}, ${JSON.stringify(join(packageDir, 'build/code-cache/run'))});
    chunks.load('entry.cjs');
    console.log(JSON.stringify([...chunks.loaded].map(({ name, script }) => [name, script.cachedDataRejected])));`;
  const { stdout, stderr } = spawnSync(process.execPath, [...nodeFlags, '--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  const loaded = JSON.parse(stdout || `"${stderr.slice(0, 400)}"`) as [string, boolean | null][];
  assert.ok(loaded.length >= 2);
  for (const [name, rejected] of loaded)
    assert.equal(
      rejected ?? undefined,
      isCacheable(name) ? false : undefined,
      `${name}: false means a cache was there and taken`,
    );
  assert.ok(loaded.some(([name]) => name.startsWith('core-')));
  const bundle = join(packageDir, 'dist/bin');
  for (const name of readdirSync(bundle))
    assert.doesNotMatch(readFileSync(join(bundle, name), 'latin1'), /[^\x00-\x7f]/, `${name} is read as latin1`);
});

test('what every command loads brings none of the modules of Node that take milliseconds', () => {
  const bundle = join(packageDir, 'dist/bin');
  const core = readdirSync(bundle).filter((name) => /^(?:core|store|entry|main)\b/.test(name));
  assert.ok(core.length >= 4, core.join(' '));
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
