import assert from 'node:assert/strict';
import { mkdirSync, openSync, readFileSync, readlinkSync as readlinkOf, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  encodePlan,
  type ExecOptions,
  type ExecSession,
  Fd,
  HelperError,
  type MonitorClient,
  NO_FD,
  type Op,
  pidfdOpen,
  planConstants,
} from '../../src/sys/mod.ts';
import {
  Bench,
  cannotRun,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  isAlive,
  STDIO_FDS,
  STDIO_PIPES,
  STDIO_PTY,
  until,
} from './container.ts';

const ALL = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;
const sleeper = { argv: ['/bin/sleep', '60'] };

async function exec(
  client: MonitorClient,
  pid: number,
  argv: readonly string[],
  options: Partial<ExecOptions> & { steps?: Op[] } = {},
): Promise<{ session: ExecSession; text: () => string; errors: () => string }> {
  let out = '';
  let err = '';
  using pidfd = pidfdOpen(pid);
  const ops: Op[] = [
    { op: 'enter', pidfd: 0, flags: ALL, cgroup: NO_FD },
    { op: 'setsid' },
    { op: 'pdeathsig', signal: 9 },
    ...(options.stdio === STDIO_PTY ? [{ op: 'tty', rows: 10, cols: 20, console: 0, uid: 0 } as const] : []),
    ...(options.steps ?? []),
    { op: 'exec', candidates: [argv[0] ?? ''], argv, env: ['PATH=/bin'], init: 0 },
  ];
  const session = await client.exec(encodePlan(ops, 1), [pidfd], {
    id: options.id ?? 'e1',
    stdio: options.stdio ?? STDIO_PIPES,
    ...(options.stdioFds === undefined ? {} : { stdioFds: options.stdioFds }),
    detached: options.detached ?? false,
    onStdout: (bytes) => (out += Buffer.from(bytes).toString()),
    onStderr: (bytes) => (err += Buffer.from(bytes).toString()),
  });
  return { session, text: () => out, errors: () => err };
}

describe('helper: exec sessions', { skip: cannotRun() ?? false }, () => {
  it('runs inside every namespace, streams apart, exit code', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const pid = await c.client.started;
    const { session, text, errors } = await exec(c.client, pid, [
      '/bin/sh',
      '-c',
      'cat /proc/1/comm; readlink /proc/self/ns/net; ls /; echo bad >&2; exit 9',
    ]);
    assert.deepEqual(await session.exit, { code: 9, signal: 0 });
    assert.match(text(), /^sleep\nnet:\[\d+\]\nbin\ndev\n/);
    assert.notEqual(text().split('\n')[1], readlinkOf('/proc/self/ns/net'));
    assert.equal(errors(), 'bad\n');
    assert.ok(!c.has('exec'));
  });

  it('no descriptor of the monitor reaches it', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const { session, text } = await exec(c.client, await c.client.started, ['/bin/ls', '/proc/self/fd']);
    await session.exit;
    assert.equal(text(), '0\n1\n2\n3\n');
  });

  it('stdin and end of file', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const { session, text } = await exec(c.client, await c.client.started, ['/bin/wc', '-c']);
    for (let i = 0; i < 10; i++) await session.stdin(Buffer.alloc(100_000));
    await session.closeStdin();
    assert.equal((await session.exit).code, 0);
    assert.equal(text().trim(), '1000000');
  });

  it('a pty of the container, resized', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const { session, text } = await exec(
      c.client,
      await c.client.started,
      ['/bin/sh', '-c', 'tty; stty size; trap "stty size; exit 0" WINCH; echo up; while :; do sleep 0.01; done'],
      { stdio: STDIO_PTY },
    );
    await until(() => text().includes('up'), 3000, 'it is up');
    session.resize(33, 44);
    await session.exit;
    assert.equal(text(), '/dev/pts/0\r\n10 20\r\nup\r\n33 44\r\n');
  });

  it("the caller's own descriptors", async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const path = join(bench.dir, 'exec-out');
    using out = Fd.adopt(openSync(path, 'w'));
    using null0 = Fd.adopt(openSync('/dev/null', 'r'));
    const { session } = await exec(c.client, await c.client.started, ['/bin/echo', 'mine'], {
      stdio: STDIO_FDS,
      stdioFds: [null0, out, out],
    });
    await session.exit;
    assert.equal(readFileSync(path, 'utf8'), 'mine\n');
  });

  it('missing and not executable programs fail with their errno; the container lives', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const pid = await c.client.started;
    const errno = (n: number) => (error: Error) => error instanceof HelperError && error.errno === n;
    await assert.rejects(exec(c.client, pid, ['/bin/nothing']), errno(2));
    await assert.rejects(exec(c.client, pid, ['/etc/secret']), errno(13));
    assert.ok(isAlive(pid));
  });

  it('death by signal; a signal sent to the session', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const { session } = await exec(c.client, await c.client.started, ['/bin/sleep', '50']);
    await session.signal(15);
    assert.deepEqual(await session.exit, { code: 143, signal: 15 });
  });

  it('detached: outlives its client, is recorded under its id', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const pid = await c.client.started;
    const other = await c.connect();
    await exec(other, pid, ['/bin/sh', '-c', 'sleep 0.1; echo lost; exit 6'], { detached: true, id: 'job-1' });
    other.close();
    await until(() => c.has('exec/job-1'), 3000, 'it was recorded');
    assert.equal((JSON.parse(c.read('exec/job-1')) as { code: number }).code, 6);
  });

  it('an id in use is refused, a bad Plan too', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const pid = await c.client.started;
    await exec(c.client, pid, ['/bin/sleep', '50'], { id: 'same' });
    using other = await c.connect();
    await assert.rejects(
      exec(other, pid, ['/bin/true'], { id: 'same' }),
      (error: Error) => error instanceof HelperError && error.errno === 17,
    );
    await assert.rejects(
      c.client.exec(Buffer.alloc(64), [], { id: 'bad', stdio: planConstants.STDIO_NULL }),
      HelperError,
    );
    await assert.rejects(exec(other, pid, ['/bin/true'], { id: 'unknown-op', steps: [{ op: 'pivot' }] }), HelperError);
  });

  it('many at once, all reaped', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const pid = await c.client.started;
    const all = await Promise.all(
      Array.from({ length: 24 }, (_, i) => exec(c.client, pid, ['/bin/echo', String(i)], { id: `n${i}` })),
    );
    const codes = await Promise.all(all.map(({ session }) => session.exit));
    assert.ok(codes.every(({ code }) => code === 0));
    assert.deepEqual(
      all.map(({ text }) => text()),
      all.map((_, i) => `${i}\n`),
    );
    const children = readFileSync(`/proc/${c.pid}/task/${c.pid}/children`, 'utf8').trim();
    assert.equal(children, String(pid));
  });

  it('sessions end with the container, EXEC_EXIT before EXIT', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const { session } = await exec(c.client, await c.client.started, ['/bin/sleep', '50']);
    let over = false;
    void session.exit.then(() => (over = true));
    await c.client.signal(9);
    await c.client.exit;
    assert.ok(over);
  });

  it('the cgroup of the exec Plan is entered before the namespaces', async () => {
    using bench = new Bench();
    const c = bench.container(sleeper);
    const pid = await c.client.started;
    const name = `/sys/fs/cgroup/pids/tare-test-x${process.pid}`;
    mkdirSync(name);
    try {
      using tasks = Fd.adopt(openSync(`${name}/tasks`, 'w'));
      using pidfd = pidfdOpen(pid);
      let text = '';
      const plan = encodePlan(
        [
          { op: 'cgroupTask', fd: 1 },
          { op: 'enter', pidfd: 0, flags: ALL, cgroup: NO_FD },
          { op: 'exec', candidates: ['/bin/cat'], argv: ['cat', '/proc/self/cgroup'], env: [], init: 0 },
        ],
        2,
      );
      const session = await c.client.exec(plan, [pidfd, tasks], {
        id: 'cg',
        stdio: STDIO_PIPES,
        onStdout: (bytes) => (text += Buffer.from(bytes).toString()),
      });
      await session.exit;
      assert.match(text, /pids:\/tare-test-x/);
    } finally {
      await until(() => tryRemove(name), 2000, 'the cgroup is gone');
    }
  });
});

function tryRemove(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
