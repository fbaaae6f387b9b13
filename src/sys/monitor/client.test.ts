import assert from 'node:assert/strict';
import { existsSync, mkdtempDisposableSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Fd } from '../fd.ts';
import { tryLock } from '../lock.ts';
import { memfdSealed } from '../memfd.ts';
import { AT_FDCWD, O_CREAT, O_RDWR, openat2, openDirectory } from '../open.ts';
import { openTree } from '../mount.ts';
import { encodePlan } from '../plan/encode.ts';
import { NO_FD, type Op, planConstants } from '../plan/schema.ts';
import { pidfdOpen, pidfdSendSignal, spawnHelper } from '../process.ts';
import { sendFds, socketpair, tryRecvFds } from '../socket.ts';
import { fstat, statx } from '../stat.ts';
import { MonitorClient } from './client.ts';
import { type ClientFrame, encodeClientFrame, encodeMonitorFrame, FrameDecoder } from './frames.ts';
import { HelperError } from './helper-error.ts';

const needs = !existsSync(join(import.meta.dirname, '../../../build/tare-helper'))
  ? { skip: 'needs build/tare-helper' }
  : process.geteuid?.() !== 0
    ? { skip: 'needs root' }
    : {};
const openFds = (): number => readdirSync('/proc/self/fd').length;

/** The other end of a client, driven by hand: what the codec and the queue do, not what a monitor means. */
class Peer implements Disposable {
  readonly client: MonitorClient;
  readonly #fd: Fd;
  readonly #decoder = FrameDecoder.ofClient();

  constructor() {
    const [ours, theirs] = socketpair();
    this.client = MonitorClient.over(ours);
    this.#fd = theirs;
  }

  send(bytes: Uint8Array): void {
    sendFds(this.#fd, bytes);
  }

  /** What has arrived: frames, and the descriptors with the frame they came with. */
  read(): { frames: ClientFrame[]; fds: Fd[] } {
    const frames: ClientFrame[] = [];
    const fds: Fd[] = [];
    for (let received; (received = tryRecvFds(this.#fd, 65_536, 253)) !== undefined && received.bytes.length > 0;) {
      frames.push(...this.#decoder.push(received.bytes));
      fds.push(...received.fds);
    }
    return { frames, fds };
  }

  close(): void {
    this.#fd.close();
  }

  [Symbol.dispose](): void {
    this.close();
    this.client.close();
  }
}

test('MonitorClient settles requests by their number and maps ERROR and FAILED to typed errors', async () => {
  using peer = new Peer();
  const { client } = peer;
  const start = client.start();
  const signal = client.signal(15);
  const reopen = client.reopenLog();
  await delay(5);
  assert.deepEqual(
    peer.read().frames.map((frame) => frame.type),
    ['start', 'signal', 'reopenLog'],
  );
  peer.send(encodeMonitorFrame({ type: 'ok', req: 3 }));
  peer.send(encodeMonitorFrame({ type: 'error', req: 2, errno: 3, text: 'no process' }));
  peer.send(encodeMonitorFrame({ type: 'failed', req: 1, step: 7, errno: 13, text: '/bin/x' }));
  await reopen;
  await assert.rejects(signal, { kind: 'not-found', errno: 3, message: /no process/ });
  await assert.rejects(
    start,
    (error) => error instanceof HelperError && error.step === 7 && error.kind === 'denied' && error.text === '/bin/x',
  );
});

test('MonitorClient rejects what waits when the peer goes away or talks nonsense, and nothing is unhandled', async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (error: unknown): void => void unhandled.push(error);
  process.on('unhandledRejection', onUnhandled);
  for (const end of [
    (peer: Peer) => peer.close(),
    (peer: Peer) => peer.send(Buffer.from([1, 0, 0, 0, 200])),
    (peer: Peer) => peer.client.close(),
  ]) {
    const before = openFds();
    {
      using peer = new Peer();
      const stop = peer.client.stop();
      // A stale request whose failure nobody hears.
      const silent = peer.client.take(true);
      end(peer);
      await assert.rejects(stop, { kind: 'unavailable' });
      await assert.rejects(peer.client.exit, { kind: 'unavailable' });
      await peer.client.closed;
      await assert.rejects(peer.client.start(), { kind: 'unavailable' });
      await silent.catch(() => {});
    }
    await delay(5);
    assert.equal(openFds(), before);
  }
  process.off('unhandledRejection', onUnhandled);
  assert.deepEqual(unhandled, []);
});

test(
  'MonitorClient sends descriptors with their frame, in order behind a full socket',
  { timeout: 10_000 },
  async () => {
    using peer = new Peer();
    using dir = openDirectory('/usr');
    const before = openFds();
    const stdin = peer.client.stdin(Buffer.alloc(3_000_000, 'x'));
    const exec = peer.client.exec(encodePlan([], 0), [dir], { id: 'e', stdio: 0 });
    exec.catch(() => {});
    peer.client.resize(1, 2);
    const types: string[] = [];
    let stdinBytes = 0;
    const fds: Fd[] = [];
    await delay(20);
    for (let tries = 0; tries < 1000 && !(stdinBytes === 3_000_000 && types.includes('resize')); tries++) {
      await delay(1);
      const read = peer.read();
      for (const frame of read.frames) {
        types.push(frame.type);
        if (frame.type === 'stdin') stdinBytes += frame.bytes.length;
        // The descriptors came in the same receive as the frame they belong to.
        if (frame.type === 'exec') assert.equal(read.fds.length, 2);
      }
      fds.push(...read.fds);
    }
    await stdin;
    assert.equal(stdinBytes, 3_000_000);
    assert.ok(types.indexOf('exec') > 0 && types.indexOf('resize') === types.indexOf('exec') + 1);
    assert.equal(fds.length, 2);
    assert.equal(fstat(fds[1] ?? -1).inode, fstat(dir).inode);
    for (const fd of fds) fd.close();
    assert.equal(openFds(), before);
  },
);

test('MonitorClient stop given up by its signal is cancelled, and the connection goes on', async () => {
  using peer = new Peer();
  await assert.rejects(peer.client.stop({ abort: AbortSignal.timeout(5) }), { kind: 'cancelled' });
  peer.send(encodeMonitorFrame({ type: 'ok', req: 1 }));
  peer.send(encodeMonitorFrame({ type: 'started', pid: 42 }));
  assert.equal(await peer.client.started, 42);
});

/** A monitor of the real helper, running `argv` of this machine in a pid namespace. */
class Container implements AsyncDisposable {
  readonly path: string;
  readonly client: MonitorClient;
  readonly pid: number;
  readonly #remove: () => void;

  constructor(argv: readonly string[], options: { stdio?: number; autostart?: boolean } = {}) {
    const temp = mkdtempDisposableSync('/tmp/tare-client-');
    this.path = temp.path;
    this.#remove = () => temp.remove();
    using dir = openDirectory(temp.path);
    openat2(dir, 'phase.creating', { flags: O_CREAT | O_RDWR, mode: 0o600 }).close();
    using life = openat2(dir, 'life', { flags: O_CREAT | O_RDWR, mode: 0o600 });
    assert.ok(tryLock(life, 'write'));
    using rootfs = openTree('/usr', { clone: true });
    const ops: Op[] = [
      { op: 'state', dir: 0, life: 1, volatile: 1 },
      { op: 'listen', dir: 0, name: 'socket' },
      {
        op: 'stdio',
        mode: options.stdio ?? planConstants.STDIO_PIPES,
        stdin: 1,
        once: 0,
        in: NO_FD,
        out: NO_FD,
        err: NO_FD,
      },
      { op: 'stop', signal: 15, timeoutMs: 500 },
      { op: 'rootfs', fd: 2 },
      { op: 'autostart', now: options.autostart === false ? 0 : 1 },
      { op: 'clone', flags: 0x20000000, cgroup: NO_FD },
      { op: 'barrier', kind: planConstants.BARRIER_START },
      { op: 'exec', candidates: [argv[0] ?? ''], argv: [...argv], env: ['PATH=/usr/bin:/bin'], init: 0 },
    ];
    using plan = memfdSealed('tare-plan', encodePlan(ops, 3));
    const [ours, theirs] = socketpair();
    this.client = MonitorClient.over(ours, { socketPath: `${temp.path}/socket` });
    sendFds(ours, encodeClientFrame({ type: 'plan' }), [plan, dir, life, rootfs]);
    this.pid = spawnHelper('monitor', [theirs]);
    theirs.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    for (let tries = 0; tries < 200; tries++) {
      using life = openat2(AT_FDCWD, `${this.path}/life`, { flags: O_RDWR });
      if (tryLock(life, 'write')) break;
      if (tries === 100) {
        using monitor = pidfdOpen(this.pid);
        pidfdSendSignal(monitor, 9);
      }
      await delay(10);
    }
    this.#remove();
  }
}

const collect = (client: MonitorClient): { out: () => string; err: () => string } => {
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  client.onStdout = (bytes) => void out.push(bytes);
  client.onStderr = (bytes) => void err.push(bytes);
  return { out: () => Buffer.concat(out).toString(), err: () => Buffer.concat(err).toString() };
};

test(
  'MonitorClient against the helper: created, attached, started, its output and exit',
  { ...needs, timeout: 10_000 },
  async () => {
    await using container = new Container(['/bin/sh', '-c', 'echo out $$; echo err >&2; exit 3'], { autostart: false });
    const { client } = container;
    const { out, err } = collect(client);
    assert.ok((await client.ready) > 0);
    assert.ok(existsSync(`${container.path}/phase.initialized`));
    client.attach({ stdout: true, stderr: true });
    await client.start();
    assert.ok((await client.started) > 0);
    const exit = await client.exit;
    assert.deepEqual([exit.code, exit.signal, exit.oom], [3, 0, false]);
    assert.deepEqual([out(), err()], ['out 1\n', 'err\n']);
    assert.equal(JSON.parse(readFileSync(`${container.path}/exit`, 'utf8')).code, 3);
  },
);

test(
  'MonitorClient against the helper: stdin with back-pressure comes back whole',
  { ...needs, timeout: 20_000 },
  async () => {
    await using container = new Container(['/bin/cat'], { autostart: false });
    const { client } = container;
    const { out } = collect(client);
    await client.ready;
    client.attach({ stdin: true, stdout: true });
    await client.start();
    const bytes = Buffer.alloc(2_000_000, 'The quick brown fox. ');
    await client.stdin(bytes);
    await client.closeStdin();
    assert.equal((await client.exit).code, 0);
    assert.ok(out() === bytes.toString());
  },
);

test(
  'MonitorClient against the helper: a failing exec is a HelperError with its step',
  { ...needs, timeout: 10_000 },
  async () => {
    await using container = new Container(['/bin/no-such-program']);
    const { client } = container;
    await assert.rejects(
      client.started,
      (error) => error instanceof HelperError && error.kind === 'not-found' && error.step === 8,
    );
    assert.equal((await client.failed).code, 'ENOENT');
    await assert.rejects(client.exit, { kind: 'not-found' });
  },
);

test(
  'MonitorClient.connect against the helper: hello, mount, signal, stop',
  { ...needs, timeout: 10_000 },
  async () => {
    await using container = new Container(['/bin/sleep', '100']);
    const pid = await container.client.started;
    const before = openFds();
    {
      using second = await MonitorClient.connect(`${container.path}/socket`);
      assert.deepEqual(await second.hello, { version: 1, pid, phase: 'running' });
      {
        using mount = second.mount();
        assert.equal(fstat(mount).inode, statx(AT_FDCWD, '/usr').inode);
      }
      await second.signal(18);
      await assert.rejects(second.signal(9999), { kind: 'invalid' });
      await second.stop({ signal: 9 });
      const exit = await container.client.exit;
      assert.deepEqual([exit.code, exit.signal], [137, 9]);
      assert.deepEqual((await second.exit).signal, 9);
    }
    await container.client.closed;
    await delay(10);
    // The starter's own connection went with the monitor, too.
    assert.equal(openFds(), before - 1);
  },
);

test(
  'MonitorClient.exec against the helper: output, exit, and the caller-given stdio',
  { ...needs, timeout: 10_000 },
  async () => {
    await using container = new Container(['/bin/sleep', '100']);
    const pid = await container.client.started;
    using pidfd = pidfdOpen(pid);
    using client = await MonitorClient.connect(`${container.path}/socket`);
    const plan = (script: string): Buffer =>
      encodePlan(
        [
          { op: 'enter', pidfd: 0, flags: 0x20000000, cgroup: NO_FD },
          { op: 'exec', candidates: ['/bin/sh'], argv: ['sh', '-c', script], env: ['PATH=/usr/bin:/bin'], init: 0 },
        ],
        1,
      );
    const out: Uint8Array[] = [];

    const session = await client.exec(plan('read line; echo got $line; exit 5'), [pidfd], {
      id: 'pipes',
      stdio: planConstants.STDIO_PIPES,
      onStdout: (bytes) => void out.push(bytes),
    });
    assert.ok(session.pid > 0);
    await session.stdin(Buffer.from('it\n'));
    assert.deepEqual(await session.exit, { code: 5, signal: 0 });
    assert.equal(Buffer.concat(out).toString(), 'got it\n');

    const fs = process.getBuiltinModule('node:fs');
    using file = Fd.adopt(fs.openSync(`${container.path}/out`, 'w+'));

    const direct = await client.exec(plan('echo direct; echo error >&2'), [pidfd], {
      id: 'direct',
      stdio: planConstants.STDIO_FDS,
      stdioFds: [file, file, file],
    });
    assert.equal((await direct.exit).code, 0);
    assert.equal(fs.readFileSync(`${container.path}/out`, 'utf8'), 'direct\nerror\n');
    await assert.rejects(client.exec(Buffer.from('no plan'), [pidfd], { id: 'bad', stdio: 0 }), { kind: 'invalid' });
    await client.stop({ signal: 9 });
  },
);
