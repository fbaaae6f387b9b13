import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposableSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { duplicate, type Fd } from './fd.ts';
import { isLocked, lockWait, tryLock, unlock } from './lock.ts';
import { AT_FDCWD, O_CREAT, O_RDONLY, O_RDWR, openat2 } from './open.ts';

const open = (path: string): Fd => openat2(AT_FDCWD, path, { flags: O_CREAT | O_RDWR, mode: 0o600 });
const threads = (): number => readdirSync('/proc/self/task').length;
const openFds = (): number => readdirSync('/proc/self/fd').length;

/** A process that takes the write lock of `path` by lockWait, says "held" and keeps it until told to go, or killed. */
async function holder(
  path: string,
  body = `await lockWait(fd, 'write'); console.log('held'); setInterval(() => {}, 1000);`,
): Promise<ChildProcess> {
  const script = `
    import { lockWait, lockWaitSync, tryLock, unlock } from '${import.meta.dirname}/lock.ts';
    import { openat2 } from '${import.meta.dirname}/open.ts';
    const fd = openat2(-100, ${JSON.stringify(path)}, { flags: 2 });
    ${body}`;
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '-e', script],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  if (child.stdout === null) throw new Error('no stdout');
  const exited = once(child, 'exit').then(([code]) =>
    Promise.reject(new Error(`the child exited with ${code} before it said anything`)),
  );
  exited.catch(() => {});
  await Promise.race([once(child.stdout, 'data'), exited]);
  return child;
}

test('tryLock excludes writers, shares readers, converts, and is seen by isLocked through other descriptions only', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using a = open(`${temp.path}/l`);
  using b = open(`${temp.path}/l`);
  using reader = openat2(AT_FDCWD, `${temp.path}/l`, { flags: O_RDONLY });
  assert.equal(isLocked(a), false);
  assert.equal(tryLock(a, 'write'), true);
  assert.equal(tryLock(b, 'write'), false);
  assert.equal(tryLock(b, 'read'), false);
  assert.deepEqual([isLocked(a), isLocked(b), isLocked(reader)], [false, true, true]);
  assert.equal(tryLock(a, 'read'), true);
  assert.equal(tryLock(b, 'read'), true);
  assert.equal(tryLock(a, 'write'), false);
  unlock(b);
  assert.equal(tryLock(a, 'write'), true);
  assert.throws(() => tryLock(reader, 'write'), { code: 'EBADF' });
});

test('a lock lives until the last duplicate of its description is closed', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  const a = open(`${temp.path}/l`);
  const copy = duplicate(a);
  using b = open(`${temp.path}/l`);
  tryLock(a, 'write');
  a.close();
  assert.equal(isLocked(b), true);
  copy.close();
  assert.equal(isLocked(b), false);
});

test('lockWait waits for another process without holding up the event loop, and kill -9 of the holder frees it', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using fd = open(`${temp.path}/l`);
  const child = await holder(`${temp.path}/l`);
  assert.equal(tryLock(fd, 'write'), false);
  assert.equal(isLocked(fd), true);
  let had = false;
  const wait = lockWait(fd, 'write').then(() => (had = true));
  await delay(30);
  assert.equal(had, false);
  child.kill('SIGKILL');
  await wait;
  using other = open(`${temp.path}/l`);
  assert.equal(isLocked(other), true);
});

test('lockWait of many in one process is first come first served with one waiting thread per file', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using held = open(`${temp.path}/l`);
  tryLock(held, 'write');
  const before = threads();
  const order: number[] = [];
  const waits = Array.from({ length: 20 }, async (_, index) => {
    using fd = open(`${temp.path}/l`);
    await lockWait(fd, 'write');
    order.push(index);
  });
  await delay(20);
  assert.equal(threads(), before + 1);
  unlock(held);
  await Promise.all(waits);
  assert.deepEqual(
    order,
    Array.from({ length: 20 }, (_, index) => index),
  );
});

test('lockWait by readers behind a writer get in together', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using held = open(`${temp.path}/l`);
  tryLock(held, 'write');
  using a = open(`${temp.path}/l`);
  using b = open(`${temp.path}/l`);
  const both = Promise.all([lockWait(a, 'read'), lockWait(b, 'read')]);
  unlock(held);
  await both;
  assert.equal(tryLock(held, 'write'), false);
  assert.equal(tryLock(held, 'read'), true);
});

test('lockWait aborted is rejected as cancelled, holds nothing and leaves no thread and no descriptor', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using held = open(`${temp.path}/l`);
  using fd = open(`${temp.path}/l`);
  using behind = open(`${temp.path}/l`);
  tryLock(held, 'write');
  const before = [threads(), openFds()];
  await assert.rejects(lockWait(fd, 'write', { signal: AbortSignal.abort() }), { kind: 'cancelled' });
  for (let round = 0; round < 200; round++) {
    const controller = new AbortController();
    const first = lockWait(fd, 'write', { signal: controller.signal });
    const second = lockWait(behind, 'write', { signal: controller.signal });
    // Rounds differ in how far the thread has come when the signal arrives.
    if (round % 3 === 1) await delay(0);
    if (round % 3 === 2) for (let spin = performance.now(); performance.now() - spin < 0.05;);
    controller.abort();
    const ends = await Promise.allSettled([first, second]);
    assert.deepEqual(
      ends.map((end) => end.status === 'rejected' && end.reason.kind),
      ['cancelled', 'cancelled'],
    );
  }
  unlock(held);
  assert.equal(tryLock(behind, 'write'), true);
  assert.deepEqual([threads(), openFds()], before);
});

test('lockWait aborted in the queue lets the next one through', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using held = open(`${temp.path}/l`);
  tryLock(held, 'write');
  using a = open(`${temp.path}/l`);
  using b = open(`${temp.path}/l`);
  using c = open(`${temp.path}/l`);
  const controller = new AbortController();
  const first = lockWait(a, 'write');
  const second = lockWait(b, 'write', { signal: controller.signal });
  const third = lockWait(c, 'write');
  controller.abort();
  await assert.rejects(second, { kind: 'cancelled' });
  unlock(held);
  await first;
  a.close();
  await third;
  assert.equal(isLocked(held), true);
});

test('lockWait whose descriptor is closed meanwhile gives the lock up when it comes', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using held = open(`${temp.path}/l`);
  const fd = open(`${temp.path}/l`);
  tryLock(held, 'write');
  const wait = lockWait(fd, 'write');
  fd.close();
  unlock(held);
  await wait;
  assert.equal(isLocked(held), false);
});

test('lockWait aborted does not keep a process alive; pending it does', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using held = open(`${temp.path}/l`);
  tryLock(held, 'write');
  const aborted = await holder(
    `${temp.path}/l`,
    `const c = new AbortController(); lockWait(fd, 'write', { signal: c.signal }).catch((e) => console.log(e.kind)); setTimeout(() => c.abort(), 10);`,
  );
  assert.deepEqual(aborted.exitCode ?? (await once(aborted, 'exit'))[0], 0);
  const pending = await holder(`${temp.path}/l`, `console.log('x'); await lockWait(fd, 'write');`);
  const exit = once(pending, 'exit');
  await delay(100);
  assert.equal(pending.exitCode, null);
  unlock(held);
  assert.equal((await exit)[0], 0);
});

test('lockWait pending in a worker that is terminated ends with it', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  using held = open(`${temp.path}/l`);
  tryLock(held, 'write');
  const source = `
    const { lockWait } = await import('file://${import.meta.dirname}/lock.ts');
    const { openat2 } = await import('file://${import.meta.dirname}/open.ts');
    const { parentPort } = await import('node:worker_threads');
    lockWait(openat2(-100, ${JSON.stringify(`${temp.path}/l`)}, { flags: 2 }), 'write');
    parentPort.postMessage('waiting');`;
  const before = threads();
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  await once(worker, 'message');
  await delay(20);
  await worker.terminate();
  await delay(20);
  assert.ok(threads() <= before);
});

test('lockWaitSync keeps a counter right among processes', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-lock-');
  open(`${temp.path}/l`).close();
  const body = `
    import { readFileSync, writeFileSync } from 'node:fs';
    const path = ${JSON.stringify(`${temp.path}/count`)};
    for (let i = 0; i < 100; i++) { lockWaitSync(fd, 'write'); let n = 0; try { n = Number(readFileSync(path, 'utf8')); } catch {} writeFileSync(path, String(n + 1)); unlock(fd); }
    console.log('done');`;
  const children = await Promise.all([1, 2, 3].map(() => holder(`${temp.path}/l`, body)));
  await Promise.all(children.map(async (child) => child.exitCode ?? once(child, 'exit')));
  assert.equal(process.getBuiltinModule('node:fs').readFileSync(`${temp.path}/count`, 'utf8'), '300');
});
