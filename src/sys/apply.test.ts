import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { addon } from './addon.ts';
import { Apply, type ApplyMeta } from './apply.ts';
import { isErrno, SysError } from './error.ts';

const root = process.getuid?.() === 0 ? {} : { skip: 'needs root: it sets owners' };
const meta: ApplyMeta = { mode: 0o644, uid: 0, gid: 0, mtimeSeconds: 0, mtimeNanoseconds: 0, xattrs: [] };

function scratch(t: TestContext): { dir: string; fd: number } {
  const dir = mkdtempSync(join(tmpdir(), 'tare-apply-'));
  const fd = openSync(dir, 'r');
  t.after(() => {
    closeSync(fd);
    rmSync(dir, { recursive: true, force: true });
  });
  return { dir, fd };
}

test('Apply: executes in order, splits data over batches, reports the CRC of every file that asks', root, async (t) => {
  const { dir, fd } = scratch(t);
  const crcs: string[] = [];
  await using apply = Apply.open(fd, {
    onCrc: (bytes, offset) => crcs.push(bytes.toString('base64', offset, offset + 8)),
  });
  const big = Buffer.alloc(3_000_000, 'tare');
  apply.file('a/big');
  apply.data(big, 0, big.length);
  apply.end(meta);
  apply.file('a/none');
  apply.end(meta, false);
  apply.file('a/hi');
  apply.data(Buffer.from('..hi\n..'), 2, 5);
  apply.end(meta);
  apply.link('hard', 'a/hi', meta);
  await apply.finish();
  assert.ok(readFileSync(join(dir, 'a/big')).equals(big));
  assert.equal(readFileSync(join(dir, 'hard'), 'utf8'), 'hi\n');
  // The second is what podman 4.3 recorded for a file of this content.
  assert.deepEqual([crcs.length, crcs[1]], [2, 'YUmYEAAAAAA=']);
});

test('Apply: the first error stops all that follows and names step and path', root, async (t) => {
  const { dir, fd } = scratch(t);
  await using apply = Apply.open(fd);
  apply.file('x');
  apply.end(meta);
  apply.link('y', 'nowhere/z', meta);
  apply.file('later');
  apply.end(meta);
  await assert.rejects(
    apply.finish(),
    (error) => isErrno(error, 'ENOENT') && error.path === 'nowhere/z' && error.syscall === 'openat2',
  );
  assert.deepEqual(readdirSync(dir), ['x']);
});

test('Apply: abandoning in the middle of a file ends the thread and closes everything', root, async (t) => {
  const { fd } = scratch(t);
  const before = readdirSync('/proc/self/fd').length;
  const threads = readdirSync('/proc/self/task').length;
  for (let i = 0; i < 20; i++) {
    await using apply = Apply.open(fd);
    apply.file('open');
    apply.data(Buffer.alloc(2_000_000), 0, 2_000_000);
    await apply.ready();
  }
  assert.equal(readdirSync('/proc/self/fd').length, before);
  assert.equal(readdirSync('/proc/self/task').length, threads);
});

test('applySubmit: bytes that are no batch are refused, whatever they are', root, async (t) => {
  const { fd } = scratch(t);
  const native = addon() as unknown as {
    applyOpen(dir: number, flags: number, done: (errno: number) => void): object;
    applySubmit(handle: object, batch: Buffer): number;
    applyEnd(handle: object): number;
  };
  let state = 20_261_121;
  const random = (n: number): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % n;
  for (let round = 0; round < 1500; round++) {
    const bytes = Buffer.from(
      Array.from({ length: 1 + random(120) }, () => (random(3) === 0 ? random(256) : random(12))),
    );
    // A plausible beginning, so that damage is met in the middle of operations too.
    bytes[0] = 1 + random(10);
    if (bytes.length > 4) bytes.writeUInt16LE(1 + random(3), 1);
    const handle = await new Promise<number[]>((resolve) => {
      const results: number[] = [];
      const opened = native.applyOpen(fd, 4, (errno) => results.push(errno) === 2 && resolve(results));
      native.applySubmit(opened, bytes);
      native.applyEnd(opened);
    });
    assert.ok(handle.every((errno) => errno >= 0 && errno < 4096));
  }
  assert.equal(native.applySubmit({}, Buffer.alloc(1)), -22);
  assert.throws(
    () => Apply.open(-1),
    (error) => error instanceof SysError,
  );
});
