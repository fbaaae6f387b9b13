/** What the helper's monitor does by its Plan's supervise section; the engine's tests have the whole story. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { encodePlan, Fd, HelperError, isErrno, NO_FD, type Op, planConstants } from '../../src/sys/mod.ts';
import {
  Bench,
  cannotRun,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  type Container,
  STDIO_PTY,
  until,
} from './container.ts';
import { requestHandOver } from '../../src/sys/monitor/mount-request.ts';

const ALL = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET;

const restart = (policy: number, max = 0): Op => ({ op: 'restart', policy, max, count: 0 });

const healthPlan = (script: string): Buffer =>
  encodePlan(
    [
      { op: 'enter', pidfd: 0, flags: ALL, cgroup: NO_FD },
      { op: 'setsid' },
      { op: 'pdeathsig', signal: 9 },
      { op: 'exec', candidates: ['/bin/sh'], argv: ['sh', '-c', script], env: ['PATH=/bin'], init: 0 },
    ],
    1,
  );

const health = (plan: Uint8Array, more: Partial<Extract<Op, { op: 'health' }>> = {}): Op[] => [
  { op: 'healthFd', fd: NO_FD },
  {
    op: 'health',
    intervalMs: 20,
    timeoutMs: 10_000,
    startPeriodMs: 0,
    startIntervalMs: 0,
    retries: 1,
    action: planConstants.HEALTH_NOTHING,
    plan,
    ...more,
  },
];

/** A directory for events, and its setting. */
function spool(bench: Bench): { settings: (fd: (fd: Fd) => number) => Op; actions: () => string[] } {
  const dir = join(bench.dir, 'events');
  mkdirSync(dir);
  return {
    settings: (fd) => ({ op: 'events', dir: fd(Fd.adopt(openSync(dir, 'r'))), who: '"id":"x","name":"n"' }),
    actions: () =>
      readFileSync(join(dir, 'log'), 'utf8')
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { action: string }).action),
  };
}

describe('helper: supervision', { skip: cannotRun() ?? false }, () => {
  it('the file `policy` holds at each end, over the Plan; what is no policy is none', async () => {
    using bench = new Bench();
    const argv = ['/bin/sh', '-c', 'echo run; exit 3'];
    const { RESTART_ALWAYS, RESTART_NEVER } = planConstants;
    const counts = async (planned: number, line: string): Promise<number> => {
      const c = bench.container({
        argv: ['/bin/sh', '-c', 'sleep 0.1; echo run; exit 3'],
        settings: () => [restart(planned)],
      });
      writeFileSync(join(c.dir, 'policy'), line);
      assert.equal((await c.client.exit).code, 3);
      return c.stdout.split('run').length - 1;
    };
    assert.equal(await counts(RESTART_ALWAYS, '0 0 no\n'), 1);
    assert.equal(await counts(RESTART_NEVER, '1 2 on-failure\n'), 3);
    for (const line of ['', 'always\n', '7 0 often\n']) assert.equal(await counts(RESTART_NEVER, line), 1, line);
    // Taken away while it waits.
    const c = bench.container({ argv, settings: () => [restart(RESTART_ALWAYS)] });
    await until(() => c.has('restarts') && c.read('restarts').includes('"count":2,"waiting":true'), 10_000, 'it waits');
    writeFileSync(join(c.dir, 'policy'), '0 0 no\n');
    await c.client.exit;
    assert.equal(c.read('restarts'), '{"count":2,"waiting":false}\n');
  });

  it('one that kept nothing waits, and hands the life lock over; a stop ends it as any that waits', async () => {
    using bench = new Bench();
    const asked = join(bench.dir, 'asked');
    const make = async (): Promise<Container> => {
      const c = bench.container({
        // Until it has its policy: else nobody would be left to ask.
        argv: ['/bin/sh', '-c', 'sleep 1; exit 3'],
        settings: () => [{ op: 'again', argv: ['/bin/touch', asked], env: [] }],
      });
      await c.client.started;
      assert.throws(
        () => requestHandOver(join(c.dir, 's')),
        (error) => isErrno(error, 'EBUSY'),
      );
      writeFileSync(join(c.dir, 'policy'), '2 0 always\n');
      assert.equal((await c.client.exit).code, 3, 'its clients see it end');
      await until(() => existsSync(asked), 10_000, 'somebody is asked to start it');
      rmSync(asked);
      assert.deepEqual([c.phases(), c.read('restarts')], [['phase.running'], '{"count":0,"waiting":true}\n']);
      return c;
    };
    const c = await make();
    using life = requestHandOver(join(c.dir, 's'));
    await c.left();
    assert.deepEqual([c.phases(), c.isLifeFree()], [['phase.running'], false]);
    life.close();
    assert.equal(c.isLifeFree(), true);
    const stopped = await make();
    await stopped.client.stop();
    assert.deepEqual([stopped.phases(), JSON.parse(stopped.read('exit')).stopped], [['phase.exited'], true]);
    await stopped.left();
  });

  it('restarts as often as its policy says, and tells of each run; attached clients hear all', async () => {
    using bench = new Bench();
    const events = spool(bench);
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'echo run; exit 3'],
      settings: (fd) => [restart(planConstants.RESTART_ON_FAILURE, 2), events.settings(fd)],
    });
    const exit = await c.client.exit;
    assert.equal(exit.code, 3);
    assert.equal(c.stdout, 'run\n'.repeat(3));
    assert.equal(c.read('restarts'), '{"count":2,"waiting":false}\n');
    assert.deepEqual(c.phases(), ['phase.exited']);
    c.client.close();
    await c.left();
    assert.deepEqual(events.actions(), [
      'attach',
      'start',
      'die',
      'restart',
      'start',
      'die',
      'restart',
      'start',
      'die',
    ]);
  });

  it('restarts with a pty and with stdin of its own', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'tty; read x; echo got $x; exit 1'],
      stdio: STDIO_PTY,
      stdin: true,
      settings: () => [restart(planConstants.RESTART_ON_FAILURE, 1)],
    });
    await c.client.started;
    await c.client.stdin(Buffer.from('one\n'));
    await until(() => c.has('restarts') && c.read('restarts').includes('"count":1'), 10_000, 'it starts again');
    await until(() => c.stdout.split('/dev/').length === 3, 10_000, 'it has a terminal');
    await c.client.stdin(Buffer.from('two\n'));
    assert.equal((await c.client.exit).code, 1);
    assert.match(c.stdout.replaceAll('\r', ''), /got one[^]*got two/);
  });

  it('TERM to the monitor ends what would start again, while it runs and while it waits', async () => {
    using bench = new Bench();
    const settings = (): Op[] => [restart(planConstants.RESTART_ALWAYS)];
    const runs = bench.container({
      argv: ['/bin/sh', '-c', 'trap "exit 4" TERM; echo; while :; do sleep 0.01; done'],
      settings,
    });
    await until(() => runs.stdout !== '', 10_000, 'its handler is set');
    process.kill(runs.pid, 'SIGTERM');
    assert.equal((await runs.client.exit).code, 4);
    assert.ok(!runs.has('restarts'));
    const waits = bench.container({ argv: ['/bin/sh', '-c', 'exit 5'], settings });
    await until(() => waits.has('restarts') && waits.read('restarts').includes('"waiting":true'), 10_000, 'it waits');
    process.kill(waits.pid, 'SIGTERM');
    assert.equal((await waits.client.exit).code, 5);
    assert.match(waits.read('restarts'), /"waiting":false/);
  });

  it('a stop or kill while it waits ends it; nobody is told twice', async () => {
    using bench = new Bench();
    for (const how of ['stop', 'kill'] as const) {
      const c = bench.container({ argv: ['/bin/false'], settings: () => [restart(planConstants.RESTART_ALWAYS)] });
      await until(
        () => c.has('restarts') && c.read('restarts').includes('"count":3,"waiting":true'),
        10_000,
        'it waits',
      );
      const other = await c.connect();
      await assert.rejects(other.signal(1), (error) => isErrno(error, 'ESRCH'));
      await (how === 'stop' ? other.stop() : other.signal(9));
      assert.equal((await c.client.exit).code, 1);
      assert.match(c.read('exit'), /"stopped":true/);
      assert.equal(c.read('restarts'), '{"count":3,"waiting":false}\n');
      other.close();
      c.client.close();
      await c.left();
    }
  });

  it('the mount it hands out is the one the container lives on', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'exec sleep 60'],
      settings: () => [restart(planConstants.RESTART_ALWAYS)],
    });
    const pid = await c.client.started;
    process.kill(pid, 'SIGKILL');
    await until(() => c.has('restarts') && c.read('restarts').includes('"count":1,"waiting":false'), 10_000, 'again');
    await until(() => c.has('pid'), 10_000, 'it runs');
    using mount = c.client.mount();
    writeFileSync(`/proc/self/fd/${mount.number}/tmp/seen`, 'x');
    assert.equal(readFileSync(`/proc/${c.read('pid').split(' ')[0]}/root/tmp/seen`, 'utf8'), 'x');
    await c.client.stop({ timeoutMs: 0 });
  });

  it('kills at its limit', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sleep', '60'], settings: () => [{ op: 'limit', ms: 50 }] });
    assert.equal((await c.client.exit).signal, 9);
  });

  it('checks health by its own clock and when asked; a flood of output is cut and escaped', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sleep', '60'],
      settings: () => health(healthPlan("printf '\\001\"\\\\\\n'; yes | head -c 100000; exit 1"), { retries: 2 }),
    });
    await c.client.started;
    await until(() => c.has('health') && c.read('health').includes('unhealthy'), 10_000, 'it is unhealthy');
    const state = JSON.parse(c.read('health')) as {
      FailingStreak: number;
      Log: { Output: string; ExitCode: number }[];
    };
    assert.ok(state.FailingStreak >= 2);
    assert.equal(state.Log[0]?.Output.length, 4096);
    assert.ok(state.Log[0]?.Output.startsWith('\u0001"\\\ny\n'));
    const clients = await Promise.all([c.connect(), c.connect(), c.connect()]);
    await Promise.all(clients.map((client) => client.checkHealth()));
    assert.equal((JSON.parse(c.read('health')) as { Log: unknown[] }).Log.length <= 5, true);
    // Clients that leave while they wait, and an end in the middle of a check.
    for (const client of clients) void client.checkHealth().catch(() => {});
    for (const client of clients) client.close();
    const last = c.client.checkHealth().catch((error: unknown) => error);
    await c.client.stop({ timeoutMs: 0 });
    await last;
    await c.client.exit;
  });

  it('a check that hangs is killed, and one that cannot run is said to', async () => {
    using bench = new Bench();
    const hangs = bench.container({
      argv: ['/bin/sleep', '60'],
      settings: () => health(healthPlan('sleep 50'), { intervalMs: 0, timeoutMs: 30 }),
    });
    await hangs.client.started;
    await hangs.client.checkHealth();
    assert.match(hangs.read('health'), /"ExitCode":-1,"Output":"Health check exceeded timeout \(0\.030s\)"/);
    const plan = encodePlan(
      [
        { op: 'enter', pidfd: 0, flags: ALL, cgroup: NO_FD },
        { op: 'exec', candidates: ['/none'], argv: ['none'], env: ['A=b'], init: 0 },
      ],
      1,
    );
    const none = bench.container({ argv: ['/bin/sleep', '60'], settings: () => health(plan, { intervalMs: 0 }) });
    await none.client.started;
    await none.client.checkHealth();
    assert.match(none.read('health'), /"ExitCode":127,"Output":"cannot run the check/);
  });

  it('unhealthy with the action restart: again, without a policy', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.02; done'],
      settings: () => [
        restart(planConstants.RESTART_NEVER),
        ...health(healthPlan('exit 1'), { action: planConstants.HEALTH_RESTART }),
      ],
    });
    await until(
      () => c.has('restarts') && c.read('restarts').includes('"count":3,"waiting":false') && c.has('pid'),
      20_000,
      'it restarted',
    );
    await c.client.stop();
    // Its handler ran, or it was killed before it had one.
    assert.ok([0, 137, 143].includes((await c.client.exit).code));
  });

  it('refuses a health check that is no exec Plan, and asks without one', async () => {
    using bench = new Bench();
    for (const plan of [Buffer.from('nonsense'), healthPlan('true').subarray(0, 40)]) {
      const c = bench.container({ argv: ['/bin/true'], settings: () => health(plan) });
      await assert.rejects(c.client.started, HelperError);
    }
    const c = bench.container({ argv: ['/bin/sleep', '60'] });
    await c.client.started;
    await assert.rejects(c.client.checkHealth(), (error) => isErrno(error, 'EINVAL'));
  });

  it('no journald: it says so and starts nothing', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/true'],
      log: false,
      settings: () => [{ op: 'journal', socket: join(bench.dir, 'none'), fields: 'A=b\n' }],
    });
    await assert.rejects(c.client.started, (error) => error instanceof HelperError && error.errno === 2);
  });
});
