import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import type { Digest } from '../spec/mod.ts';
import { BlobDirectory } from './blob-directory.ts';

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'tare-blobs-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

async function keep(blobs: BlobDirectory, bytes: Buffer): Promise<Digest> {
  using keeper = blobs.keep(digestOf(bytes));
  for (let at = 0; at < bytes.length; at += 700) await keeper.write(bytes.subarray(at, at + 700));
  keeper.commit();
  return digestOf(bytes);
}

const bytes = Buffer.from(Array.from({ length: 3000 }, (_, index) => index % 251));

test('BlobDirectory gives a committed blob back, from any offset', async (t) => {
  const blobs = new BlobDirectory(join(folder(t), 'made/when/needed'));
  assert.equal(blobs.find(digestOf(bytes)), undefined);
  const digest = await keep(blobs, bytes);
  const found = blobs.find(digest) ?? assert.fail();
  assert.equal(found.sizeBytes, bytes.length);
  assert.deepEqual(await buffer(found.read()), bytes);
  assert.deepEqual(await buffer(found.read(2990)), bytes.subarray(2990));
  await keep(blobs, bytes);
  assert.deepEqual(await buffer((blobs.find(digest) ?? assert.fail()).read()), bytes, 'kept twice is kept once');
});

test('BlobDirectory: what is not committed leaves no file, also while it is written', async (t) => {
  const dir = folder(t);
  const blobs = new BlobDirectory(dir);
  {
    using keeper = blobs.keep(digestOf(bytes));
    void keeper.write(bytes);
    assert.deepEqual(readdirSync(dir), []);
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(readdirSync(dir), []);
});

test('BlobDirectory: a folder that cannot be written keeps nothing and fails nobody', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'file'), '');
  const blobs = new BlobDirectory(join(dir, 'file/below'));
  const digest = await keep(blobs, bytes);
  assert.equal(blobs.find(digest), undefined);
  assert.equal(blobs.prune(), 0);
});

test('BlobDirectory.find: a file that was cut short is an error when it is read', async (t) => {
  const dir = folder(t);
  const blobs = new BlobDirectory(dir);
  const digest = await keep(blobs, bytes);
  const found = blobs.find(digest) ?? assert.fail();
  truncateSync(join(dir, digest.replace(':', '-')), 100);
  await assert.rejects(buffer(found.read()), { kind: 'invalid' });
});

test('BlobDirectory.prune deletes what is not wanted, and says how much that was', async (t) => {
  const blobs = new BlobDirectory(folder(t));
  const other = Buffer.from('another one');
  const wanted = await keep(blobs, bytes);
  const unwanted = await keep(blobs, other);
  assert.equal(blobs.prune(new Set([wanted])), other.length);
  assert.equal(blobs.find(unwanted), undefined);
  assert.ok(blobs.find(wanted));
  assert.equal(blobs.prune(), bytes.length);
});

test('BlobDirectory: a disk that is full while a blob is kept ends the keeping only', (t) => {
  // A file system of 64 KiB would need a mount: the size limit of files of this process does the same to write(2).
  const dir = folder(t);
  const program = `
    process.on('SIGXFSZ', () => {});
    import { BlobDirectory } from ${JSON.stringify(join(import.meta.dirname, 'blob-directory.ts'))};
    const blobs = new BlobDirectory(${JSON.stringify(dir)});
    const digest = 'sha256:' + 'a'.repeat(64);
    using keeper = blobs.keep(digest);
    for (let n = 0; n < 8; n++) await keeper.write(Buffer.alloc(16384));
    keeper.commit();
    console.log(blobs.find(digest) === undefined);`;
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -f 64 && exec "$0" --input-type=module -e "$1"', process.execPath, program],
    { encoding: 'utf8' },
  );
  assert.equal(stdout, 'true\n', stderr);
  assert.deepEqual(readdirSync(dir), []);
});
