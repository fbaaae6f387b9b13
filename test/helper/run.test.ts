import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { constants } from 'node:os';
import { writeFileSync, chmodSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HelperError, isErrno } from '../../src/sys/mod.ts';
import { Bench, cannotRun, type Container, isAlive, until } from './container.ts';

const { ECANCELED } = constants.errno;

describe('helper: a container from Plan to exit record', { skip: cannotRun() ?? false }, () => {
  it('true: exit record, phase exited, life free, monitor gone, socket removed', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/true'] });
    const pid = await c.client.started;
    const exit = await c.client.exit;
    assert.equal(exit.code, 0);
    assert.equal(exit.signal, 0);
    assert.deepEqual(c.phases(), ['phase.exited']);
    const record = JSON.parse(c.read('exit')) as Record<string, unknown>;
    assert.deepEqual(record, {
      code: 0,
      signal: 0,
      oom: false,
      startedAt: exit.startedAt,
      finishedAt: exit.finishedAt,
    });
    assert.match(c.read('pid'), new RegExp(`^${pid} \\d+\\n$`));
    await c.left();
    assert.ok(c.isLifeFree());
    assert.ok(!c.has('s'));
  });

  it('false: exit code 1; an exit code above 127 is kept', async () => {
    using bench = new Bench();
    assert.equal((await bench.container({ argv: ['/bin/false'] }).client.exit).code, 1);
    assert.equal((await bench.container({ argv: ['/bin/sh', '-c', 'exit 200'] }).client.exit).code, 200);
  });

  it('a process killed by a signal: 128+n and the signal', async () => {
    using bench = new Bench();
    // Process 1 of a pid namespace is deaf to itself, so the payload runs under our own process 1.
    const c = bench.container({ argv: ['/bin/sh', '-c', 'kill -9 $$'], init: true });
    assert.equal((await c.client.exit).code, 137);
    const d = bench.container({ argv: ['/bin/sleep', '60'] });
    await d.client.started;
    await d.client.signal(9);
    const exit = await d.client.exit;
    assert.deepEqual([exit.code, exit.signal], [137, 9]);
  });

  it('durable records are written too', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/true'], volatile: false });
    assert.equal((await c.client.exit).code, 0);
    assert.ok(c.has('exit'));
  });

  it('a missing program: FAILED with ENOENT at the exec step; no record; the monitor leaves', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['nothing'], candidates: ['/bin/nothing', '/usr/bin/nothing'] });
    const error = await c.client.failed;
    assert.ok(error instanceof HelperError);
    assert.equal(error.errno, 2);
    assert.equal(error.text, 'nothing');
    await c.left();
    assert.deepEqual(c.phases(), ['phase.creating']);
    assert.ok(!c.has('exit'));
    assert.ok(c.isLifeFree());
  });

  it('a candidate that may not be executed wins over missing ones, unless a later one works', async () => {
    using bench = new Bench();
    writeFileSync(join(bench.rootfs, 'bin/plain'), 'text');
    const denied = bench.container({ argv: ['plain'], candidates: ['/bin/plain', '/usr/bin/plain'] });
    const error = await denied.client.failed;
    assert.equal(error.errno, 13);
    assert.equal(error.text, '/bin/plain');
    const works = bench.container({ argv: ['true'], candidates: ['/bin/plain', '/bin/true'] });
    assert.equal((await works.client.exit).code, 0);
  });

  it('a file that is no program: ENOEXEC; a missing interpreter: ENOENT', async () => {
    using bench = new Bench();
    writeFileSync(join(bench.rootfs, 'bin/garbage'), 'garbage');
    chmodSync(join(bench.rootfs, 'bin/garbage'), 0o755);
    assert.equal((await bench.container({ argv: ['/bin/garbage'] }).client.failed).errno, 8);
    writeFileSync(join(bench.rootfs, 'bin/script'), '#!/no/such/shell\n');
    chmodSync(join(bench.rootfs, 'bin/script'), 0o755);
    assert.equal((await bench.container({ argv: ['/bin/script'] }).client.failed).errno, 2);
  });

  it('create waits for START: READY, phase initialized, then running and exited', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/echo', 'started'], autostart: false });
    const pid = await c.client.ready;
    assert.ok(pid > 1);
    assert.deepEqual(c.phases(), ['phase.initialized']);
    assert.match(c.read('pid'), new RegExp(`^${pid} `));
    using other = await c.connect();
    assert.equal((await other.hello).phase, 'created');
    other.onStdout = (bytes) => (got += Buffer.from(bytes).toString());
    let got = '';
    other.attach({ stdout: true });
    await other.start();
    assert.equal((await other.exit).code, 0);
    assert.equal(got, 'started\n');
    assert.deepEqual(c.phases(), ['phase.exited']);
  });

  it('one that waits for START and is stopped, abandoned or killed is as it was before: no exit record, no lost one', async () => {
    using bench = new Bench();
    const ends = [
      (c: Container) => c.client.stop(),
      (c: Container) => c.client.abandon(),
      async (c: Container) => process.kill(await c.client.ready, 'SIGKILL'),
    ];
    for (const before of ['created', 'exited'])
      for (const end of ends) {
        const c = bench.container({ argv: ['/bin/true'], autostart: false, before });
        const record = '{"code":5}';
        if (before === 'exited') writeFileSync(join(c.dir, 'exit'), record);
        await c.client.ready;
        await end(c);
        const failed = await c.client.failed;
        assert.deepEqual([failed.errno, failed.message.includes('before it started')], [ECANCELED, true]);
        await assert.rejects(c.client.exit, HelperError);
        await c.left();
        assert.deepEqual(c.phases(), [`phase.${before}`]);
        assert.equal(existsSync(join(c.dir, 'pid')), false);
        if (before === 'exited') assert.equal(c.read('exit'), record);
        else assert.equal(existsSync(join(c.dir, 'exit')), false);
      }
  });

  it('STOP unless started ends no container that was told to start, START starts none that is ending', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sleep', '60'], autostart: false });
    await c.client.ready;
    using other = await c.connect();
    const [started, abandoned] = await Promise.allSettled([c.client.start(), other.abandon()]);
    assert.equal(started.status === 'fulfilled', abandoned.status === 'rejected', 'one of the two');
    if (started.status === 'fulfilled') {
      await assert.rejects(other.abandon(), (error) => isErrno(error, 'EBUSY'));
      assert.deepEqual(c.phases(), ['phase.running']);
      process.kill(await c.client.started, 'SIGKILL');
      assert.equal((await c.client.exit).code, 137);
    }
  });

  it('START fails when the phase was taken away meanwhile', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sleep', '60'], autostart: false });
    await c.client.ready;
    rmSync(join(c.dir, 'phase.initialized'));
    await assert.rejects(c.client.start(), (error: Error) => error instanceof HelperError && error.errno === 2);
    await c.left();
  });

  it('stop: TERM, then KILL after the timeout', async () => {
    using bench = new Bench();
    const deaf = bench.container({ argv: ['/bin/sleep', '60'], stop: { signal: 15, timeoutMs: 100 } });
    await deaf.client.started;
    const before = performance.now();
    await deaf.client.stop();
    assert.ok(performance.now() - before >= 95);
    assert.equal((await deaf.client.exit).code, 137);
    const polite = bench.container({ argv: ['/bin/sh', '-c', 'trap "exit 7" TERM; while :; do sleep 0.01; done'] });
    await polite.client.started;
    await new Promise((resolve) => setTimeout(resolve, 50));
    await polite.client.stop({ timeoutMs: 5000 });
    assert.equal((await polite.client.exit).code, 7);
  });

  it('stop answers every client that asked, also after the exit', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sleep', '60'] });
    await c.client.started;
    using second = await c.connect();
    await Promise.all([c.client.stop({ timeoutMs: 200 }), second.stop({ timeoutMs: -2 })]);
    assert.ok(c.has('exit'));
  });

  it('init mode: orphans are reaped, signals are forwarded, the status is passed on', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sh', '-c', '(sleep 0.05 &) ; trap "exit 9" USR1; echo up; while :; do sleep 0.01; done'],
      init: true,
    });
    await c.client.started;
    await until(() => c.stdout === 'up\n', 3000, 'it is up');
    await c.client.signal(10);
    assert.equal((await c.client.exit).code, 9);
    assert.equal(
      (await bench.container({ argv: ['nothing'], candidates: ['/nothing'], init: true }).client.failed).errno,
      2,
    );
  });

  it('a failing mount names the target and the kernel reason, and leaves nothing', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/true'],
      beforePivot: () => [
        {
          op: 'mountFs',
          type: 'tmpfs',
          source: 'tmpfs',
          options: ['size=nonsense'],
          attrs: 0,
          target: '/run',
          mkdir: 0o755,
          flags: 0,
          propagation: 0,
        },
      ],
    });
    const error = await c.client.failed;
    assert.match(error.text, /^\/run: .*(size|Bad value)/);
    await c.left();
  });

  it('monitor killed: the container dies with it, life is free, phase still running', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sleep', '60'] });
    const pid = await c.client.started;
    process.kill(c.pid, 'SIGKILL');
    await until(() => !isAlive(pid), 3000, 'the container is dead');
    await c.left();
    assert.ok(c.isLifeFree());
    assert.deepEqual(c.phases(), ['phase.running']);
  });

  it('INT and HUP do not end the monitor; TERM stops its container as the stop verb does', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sh', '-c', 'sleep 0.2; exit 3'] });
    await c.client.started;
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGPIPE'] as const) process.kill(c.pid, signal);
    assert.equal((await c.client.exit).code, 3);
    const polite = bench.container({
      argv: ['/bin/sh', '-c', 'trap "exit 7" TERM; echo; while :; do sleep 0.01; done'],
    });
    await until(() => polite.stdout !== '', 10_000, 'its handler is set');
    process.kill(polite.pid, 'SIGTERM');
    assert.equal((await polite.client.exit).code, 7);
    // A user did not stop it: a boot may start it again.
    assert.equal((JSON.parse(polite.read('exit')) as { stopped?: boolean }).stopped, undefined);
  });

  it('owner lease: the container dies with the connection, and onExit runs', async () => {
    using bench = new Bench();
    const mark = join(bench.dir, 'mark');
    const c = bench.container({ argv: ['/bin/sleep', '60'], lease: true, onExit: ['/bin/busybox', 'touch', mark] });
    const pid = await c.client.started;
    c.client.close();
    await c.left();
    assert.ok(!isAlive(pid));
    assert.equal((JSON.parse(c.read('exit')) as { code: number }).code, 137);
    const { existsSync } = await import('node:fs');
    await until(() => existsSync(mark), 3000, 'onExit ran');
  });

  it('without a lease the container survives its starter', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sh', '-c', 'sleep 0.2; exit 4'] });
    await c.client.started;
    c.client.close();
    using other = await c.connect();
    assert.equal((await other.exit).code, 4);
  });

  it('TAKE holds onExit back until the client leaves; DONE cancels it', async () => {
    using bench = new Bench();
    const { existsSync } = await import('node:fs');
    const marks = [join(bench.dir, 'left'), join(bench.dir, 'done')] as const;
    const start = (mark: string) =>
      bench.container({
        argv: ['/bin/true'],
        onExit: ['/bin/busybox', 'touch', mark],
        frames: (client) => void client.take(true),
      });
    const left = start(marks[0]);
    await left.client.exit;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(!left.isLifeFree() && !existsSync(marks[0]));
    left.client.close();
    await until(() => existsSync(marks[0]), 3000, 'onExit ran');
    const done = start(marks[1]);
    await done.client.exit;
    await done.client.done();
    await done.left();
    assert.ok(!existsSync(marks[1]));
  });

  it('everything left in the cgroup is killed, sub-groups of the container included, and removed', async () => {
    using bench = new Bench();
    const name = `tare-test-${process.pid}-${Date.now()}`;
    const c = bench.container({ argv: ['/bin/sleep', '60'], cgroup: name, cloneFlags: 0x20000 });
    const { existsSync, readFileSync } = await import('node:fs');
    const pid = await c.client.started;
    assert.ok(readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(`0::/${name}`));
    mkdirSync(`/sys/fs/cgroup/unified/${name}/sub`);
    const { spawn } = await import('node:child_process');
    const stray = spawn('/bin/sleep', ['60'], { stdio: 'ignore' });
    writeFileSync(`/sys/fs/cgroup/unified/${name}/sub/cgroup.procs`, String(stray.pid));
    const gone = new Promise((resolve) => stray.on('exit', (_code, signal) => resolve(signal)));
    await c.client.signal(9);
    await c.client.exit;
    assert.equal(await gone, 'SIGKILL');
    assert.ok(!existsSync(`/sys/fs/cgroup/unified/${name}`));
  });

  it('a failed start removes the cgroup', async () => {
    using bench = new Bench();
    const { existsSync } = await import('node:fs');
    const name = `tare-test-f${process.pid}-${Date.now()}`;
    const c = bench.container({ argv: ['/nothing'], cgroup: name });
    await c.client.failed;
    assert.ok(!existsSync(`/sys/fs/cgroup/unified/${name}`));
  });

  it('hooks: the state reaches them with the pid, stage 1 stops the start, later stages do not', async () => {
    using bench = new Bench();
    const out = join(bench.dir, 'hook-out');
    const hook = (stage: number, script: string, timeoutMs = 0) =>
      ({
        op: 'hook',
        stage,
        path: '/bin/busybox',
        argv: ['sh', '-c', script],
        env: [],
        timeoutMs,
        state: '{"id":"x","pid":0,"status":"creating"}',
      }) as const;
    const good = bench.container({
      argv: ['/bin/true'],
      settings: () => [hook(1, `cat > ${out}`), hook(2, 'exit 3'), hook(3, `echo three >> ${out}`)],
      beforePivot: () => [{ op: 'barrier', kind: 1 }],
    });
    const pid = await good.client.started;
    assert.equal((await good.client.exit).code, 0);
    await good.left();
    const { readFileSync } = await import('node:fs');
    assert.equal(readFileSync(out, 'utf8'), `{"id":"x","pid":${pid},"status":"creating"}three\n`);
    const bad = bench.container({
      argv: ['/bin/true'],
      settings: () => [hook(1, 'exit 5')],
      beforePivot: () => [{ op: 'barrier', kind: 1 }],
    });
    assert.match((await bad.client.failed).text, /exit status 5/);
    const slow = bench.container({
      argv: ['/bin/true'],
      settings: () => [hook(1, 'sleep 60', 100)],
      beforePivot: () => [{ op: 'barrier', kind: 1 }],
    });
    assert.equal((await slow.client.failed).errno, 110);
  });

  it('a hook inside the container sees it', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/cat', '/run/state'],
      last: [
        {
          op: 'hookHere',
          path: '/bin/sh',
          argv: ['sh', '-c', '/bin/cat > /run/state'],
          env: [],
          timeoutMs: 1000,
          state: '{"pid":0}',
        },
      ],
    });
    await c.client.exit;
    assert.equal(c.stdout, '{"pid":1}');
  });
});
