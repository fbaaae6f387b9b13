import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Fd } from './fd.ts';
import { Link } from './monitor/link.ts';
import { recvFds, sendFds, socketpair, tryReceive } from './socket.ts';
import { Watch } from './watch.ts';

const none = { readable() {}, writable() {}, failed() {} };
/** A link and all it tells. */
function listening(fd: Fd): { readonly link: Link; readonly events: readonly string[] } {
  const events: string[] = [];
  const link = new Link(
    fd,
    (bytes) => events.push(bytes.toString()),
    (error) => events.push(`end ${error === undefined}`),
  );
  return { link, events };
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

test('Watch tells when there is something to read, and only while it is wanted', async () => {
  const [left, right] = socketpair();
  let reads = 0;
  const into = Buffer.alloc(16);
  const watch = new Watch(left, { ...none, readable: () => ((reads += 1), void tryReceive(left, into)) });
  sendFds(right, Buffer.from('a'));
  await turn();
  assert.equal(reads, 0, 'nothing was asked for');
  watch.want({ readable: true, writable: false });
  await turn();
  assert.equal(reads, 1);
  watch.want({ readable: false, writable: false });
  sendFds(right, Buffer.from('b'));
  await turn();
  assert.equal(reads, 1);
  watch[Symbol.dispose]();
  watch[Symbol.dispose]();
  left.close();
  right.close();
});

test('Watch refuses what is no descriptor to wait for', () => {
  const [left, right] = socketpair();
  left.close();
  assert.throws(() => new Watch(left, none), { code: 'EBADF' });
  right.close();
});

test('a process whose only business is a Watch ends; one that waits for something goes on until it is let go', () => {
  const program = (body: string): string => `
    import { socketpair } from ${JSON.stringify(`${import.meta.dirname}/socket.ts`)};
    import { Watch } from ${JSON.stringify(`${import.meta.dirname}/watch.ts`)};
    const [left] = socketpair();
    const watch = new Watch(left, { readable() {}, writable() {}, failed() {} });
    ${body}`;
  const run = (body: string): number | null =>
    spawnSync(process.execPath, ['--input-type=module', '-e', program(body)], { timeout: 5000 }).status;
  assert.equal(run(''), 0, 'wants nothing');
  assert.equal(run('watch.want({ readable: true, writable: false }); watch.setRef(false);'), 0, 'unreferenced');
  assert.equal(
    run('watch.want({ readable: true, writable: false }); setTimeout(() => process.exit(7), 300).unref();'),
    7,
    'kept alive until something else ends it',
  );
});

test('what a listener of a Watch throws is an uncaught exception, and the next event comes all the same', () => {
  const program = (handler: string): string => `
    import { sendFds, socketpair, tryReceive } from ${JSON.stringify(`${import.meta.dirname}/socket.ts`)};
    import { Watch } from ${JSON.stringify(`${import.meta.dirname}/watch.ts`)};
    const [left, right] = socketpair();
    const into = Buffer.alloc(1);
    let reads = 0;
    ${handler}
    const watch = new Watch(left, {
      readable() {
        tryReceive(left, into);
        if (++reads === 2) process.exit(5);
        throw new Error('thrown by a listener');
      },
      writable() {},
      failed() {},
    });
    watch.want({ readable: true, writable: false });
    sendFds(right, Buffer.from('ab'));`;
  const run = (handler: string): { readonly status: number | null; readonly stderr: string } =>
    spawnSync(process.execPath, ['--input-type=module', '-e', program(handler)], { encoding: 'utf8', timeout: 5000 });
  const alone = run('');
  assert.equal(alone.status, 1, alone.stderr);
  assert.match(alone.stderr, /thrown by a listener/);
  assert.equal(run("process.on('uncaughtException', () => {});").status, 5);
});

test('a worker that is terminated takes its watches along', async () => {
  const worker = new Worker(
    `import { socketpair } from ${JSON.stringify(`${import.meta.dirname}/socket.ts`)};
     import { Watch } from ${JSON.stringify(`${import.meta.dirname}/watch.ts`)};
     import { parentPort } from 'node:worker_threads';
     const [left] = socketpair();
     globalThis.watch = new Watch(left, { readable() {}, writable() {}, failed() {} });
     globalThis.watch.want({ readable: true, writable: false });
     parentPort.postMessage('ready');`,
    { eval: true, execArgv: ['--input-type=module'] },
  );
  await once(worker, 'message');
  assert.equal(await worker.terminate(), 1);
});

test('Link sends more than a socket holds in order, and settles each frame when the kernel has it', async () => {
  const [left, right] = socketpair();
  const link = new Link(
    left,
    () => {},
    () => {},
  );
  const frames = Array.from({ length: 40 }, (_, n) => Buffer.alloc(64 * 1024, n));
  let settled = 0;
  const sends = frames.map((frame) => link.send(frame).then(() => (settled += 1)));
  await turn();
  assert.ok(settled < frames.length, 'the other side does not read yet');
  let got = 0;
  while (got < frames.length * 64 * 1024) {
    const { bytes } = recvFds(right, 64 * 1024, 0);
    for (const [index, byte] of bytes.entries()) assert.equal(byte, Math.floor((got + index) / (64 * 1024)));
    got += bytes.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(sends);
  link.close();
  right.close();
});

test('Link holds back what arrives while paused, and hears the end after the last byte', async () => {
  const [left, right] = socketpair();
  const { link, events } = listening(left);
  link.pause();
  sendFds(right, Buffer.from('late'));
  right.close();
  await turn();
  assert.deepEqual(events, []);
  link.resume();
  await turn();
  assert.deepEqual(events, ['late', 'end true']);
  await assert.rejects(link.send(Buffer.from('x')), { kind: 'unavailable' });
});

for (const paused of [false, true])
  test(`Link hears what the other side said before it left without reading${paused ? ', also when it was paused' : ''}`, async () => {
    const [left, right] = socketpair();
    const { link, events } = listening(left);
    await link.send(Buffer.from('never read'));
    if (paused) link.pause();
    sendFds(right, Buffer.from('last words'));
    right.close();
    await turn();
    if (paused) link.resume();
    await turn();
    assert.deepEqual(events, ['last words', 'end true']);
  });
