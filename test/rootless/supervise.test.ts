/** What a user's monitors do while nobody of us is there, the holder of the namespace neither: restarts, health checks, time limits, logs. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, until } from '../engine/lab.ts';
import { canBeUser, give, UserLab } from './lab.ts';

const skip = canBeUser;
const WAIT_MS = 30_000;

interface Inspected {
  readonly Id: string;
  readonly RestartCount: number;
  readonly State: {
    readonly Status: string;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly Health?: { readonly Status: string; readonly Log: readonly { readonly Output: string }[] };
  };
}

async function inspect(lab: UserLab, name: string): Promise<Inspected> {
  const [found] = JSON.parse(await lab.ok('inspect', '--type=container', name)) as [Inspected];
  return found;
}

/** Asks until it is so. */
async function reaches(
  lab: UserLab,
  name: string,
  what: string,
  isSo: (seen: Inspected) => boolean,
): Promise<Inspected> {
  const end = performance.now() + WAIT_MS;
  for (;;) {
    const seen = await inspect(lab, name);
    if (isSo(seen)) return seen;
    assert.ok(performance.now() < end, `${name} is not ${what}: ${JSON.stringify(seen.State)}`);
    await sleep(50);
  }
}

/** What was told of a container, once the last of it is there. */
async function told(lab: UserLab, name: string, last: string): Promise<string[]> {
  for (let attempt = 0; ; attempt++) {
    const lines = await lab.ok('events', '--stream=false', '--filter', `container=${name}`, '--format', '{{.Action}}');
    const words = lines.split('\n');
    if (words.at(-1) === last || attempt > 100) return words;
    await sleep(50);
  }
}

test('restart on-failure: so often, in the same place, with each end told', { skip }, async () => {
  await using lab = new UserLab();
  const shared = join(lab.home, 'shared');
  mkdirSync(shared);
  give(lab, shared);
  const script = 'echo run; echo x >> /root/runs; cat /root/runs > /shared/runs; exit 3';
  const flags = ['--name', 'again', '--restart', 'on-failure:2', '-v', `${shared}:/shared`];
  // In the foreground the client stays until it has ended for good.
  const went = await lab.tare('run', ...flags, lab.source, 'sh', '-c', script);
  assert.deepEqual([went.code, went.stdout], [3, 'run\n'.repeat(3)], went.stderr);
  assert.equal(readFileSync(join(shared, 'runs'), 'utf8'), 'x\nx\nx\n');
  const { RestartCount, State } = await inspect(lab, 'again');
  assert.deepEqual([RestartCount, State.Status, State.ExitCode], [2, 'exited', 3]);
  const cycle = ['start', 'die', 'restart'];
  assert.deepEqual(await told(lab, 'again', 'die'), ['create', 'attach', ...cycle, ...cycle, 'start', 'die']);
  await lab.ok('rm', 'again');
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'restart always: after any death, without a holder too; not after a stop or a kill by its user',
  { skip },
  async () => {
    await using lab = new UserLab();
    await lab.ok('run', '-d', '--name', 'c', '--restart', 'always', lab.source, 'sh', '-c', 'echo up; exec sleep 1000');
    for (let count = 1; count <= 2; count++) {
      const { State } = await reaches(
        lab,
        'c',
        'running',
        ({ State: { Status, Pid } }) => Status === 'running' && Pid > 0,
      );
      lab.killHolders();
      // The user may: it is a process of theirs.
      assert.equal((await lab.exec(['kill', '-9', String(State.Pid)])).code, 0);
      await reaches(
        lab,
        'c',
        `restarted ${count} times`,
        (seen) => seen.RestartCount === count && seen.State.Pid !== State.Pid && seen.State.Status === 'running',
      );
    }
    assert.equal(await lab.ok('exec', 'c', 'echo', 'in it'), 'in it');
    assert.equal(await lab.ok('logs', 'c'), 'up\nup\nup');
    await lab.ok('kill', 'c');
    assert.equal(await lab.ok('wait', 'c'), '137');
    await lab.ok('start', 'c');
    await lab.ok('stop', '-t', '0', 'c');
    await sleep(300);
    const { State, RestartCount } = await inspect(lab, 'c');
    assert.deepEqual([State.Status, RestartCount], ['exited', 0]);
    assert.equal(lab.holders().length, 1);
    await lab.ok('rm', 'c');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('at boot: start --all starts what is to run, and not what the user stopped', { skip }, async () => {
  await using lab = new UserLab();
  const run = (name: string, policy: string) =>
    lab.ok('run', '-d', '--name', name, '--restart', policy, lab.source, 'sleep', '1000');
  await run('never', 'no');
  await run('always', 'always');
  await run('unless', 'unless-stopped');
  await run('stopped', 'unless-stopped');
  await lab.ok('stop', '-t', '0', 'stopped');
  // As a loss of power leaves it: no process, no run directory.
  for (const { pid } of lab.processes()) process.kill(pid, 'SIGKILL');
  await until(() => lab.processes().length === 0, WAIT_MS, 'all are dead');
  await lab.exec(['sh', '-c', 'rm -rf "$XDG_RUNTIME_DIR"/*']);
  const policies = ['always', 'unless-stopped'].map((policy) => `--filter=restart-policy=${policy}`);
  assert.deepEqual((await lab.ok('start', '--all', ...policies)).split('\n').sort(), ['always', 'unless']);
  const rows = (await lab.ok('ps', '-a', '--format', '{{.Names}} {{.State}} {{.ExitCode}}')).split('\n').sort();
  assert.deepEqual(rows, ['always running 0', 'never exited 137', 'stopped exited 137', 'unless running 0']);
});

test('health: starting, healthy, ill and well again, checked as the container’s own user', { skip }, async () => {
  await using lab = new UserLab();
  const check = ['--health-cmd', 'id -u; test ! -e /tmp/ill', '--health-interval', '50ms', '--health-retries', '2'];
  await lab.ok('run', '-d', '--name', 'web', '-u', 'user', '--tmpfs', '/tmp', ...check, lab.source, 'sleep', '1000');
  const { State } = await reaches(lab, 'web', 'healthy', (seen) => seen.State.Health?.Status === 'healthy');
  assert.equal(State.Health?.Log[0]?.Output, '1000\n');
  assert.match(await lab.ok('ps', '--format', '{{.Status}}'), /\(healthy\)$/);
  await lab.ok('exec', 'web', 'touch', '/tmp/ill');
  await reaches(lab, 'web', 'unhealthy', (seen) => seen.State.Health?.Status === 'unhealthy');
  const asked = await lab.tare('healthcheck', 'run', 'web');
  assert.deepEqual([asked.code, asked.stdout], [1, 'unhealthy\n'], asked.stderr);
  await lab.ok('exec', 'web', 'rm', '/tmp/ill');
  await reaches(lab, 'web', 'well again', (seen) => seen.State.Health?.Status === 'healthy');
  assert.equal(await lab.ok('healthcheck', 'run', 'web'), '');
  const statuses = await lab.ok(
    'events',
    '--stream=false',
    '--filter',
    'event=health_status',
    '--format',
    '{{.HealthStatus}}',
  );
  assert.deepEqual(statuses.split('\n'), ['healthy', 'unhealthy', 'healthy']);
  await lab.ok('rm', '-f', 'web');
  assert.deepEqual(await lab.leftovers(), []);
});

test('health on-failure: kill, stop by its stop signal, restart', { skip }, async () => {
  await using lab = new UserLab();
  const script = 'trap "exit 21" TERM; touch /root/ill; while :; do sleep 0.05; done';
  const run = (action: string, own: string) =>
    lab.ok(
      ...['run', '-d', '--name', action, '--health-cmd', 'test ! -e /root/ill', '--health-interval', '50ms'],
      ...['--health-retries', '1', '--health-on-failure', action, lab.source, 'sh', '-c', own],
    );
  await run('kill', script);
  await run('stop', script);
  assert.equal(await lab.ok('wait', 'kill', 'stop'), '137\n21');
  await run('restart', `echo run; test -e /root/was || { touch /root/was; ${script}; }; rm /root/ill; exec sleep 1000`);
  await reaches(
    lab,
    'restart',
    'healthy',
    (seen) => seen.State.Health?.Status === 'healthy' && seen.RestartCount === 1,
  );
  assert.equal(await lab.ok('logs', 'restart'), 'run\nrun');
});

test('--timeout kills, --stop-timeout is how long a stop waits', { skip }, async () => {
  await using lab = new UserLab();
  const late = await lab.tare(
    'run',
    '--rm',
    '--timeout',
    '1',
    lab.source,
    'sh',
    '-c',
    'trap "" TERM; sleep 1000 & wait; sleep 1000',
  );
  assert.equal(late.code, 137, late.stderr);
  assert.deepEqual(await lab.leftovers(), []);
  const deaf = 'trap "" TERM; echo up; while :; do sleep 0.05; done';
  await lab.ok('run', '-d', '--name', 'deaf', '--stop-timeout', '1', lab.source, 'sh', '-c', deaf);
  for (let attempt = 0; (await lab.ok('logs', 'deaf')) !== 'up' && attempt < 100; attempt++) await sleep(50);
  const began = performance.now();
  await lab.ok('stop', 'deaf');
  assert.ok(performance.now() - began >= 1000);
  assert.equal(await lab.ok('wait', 'deaf'), '137');
});

test(
  'a dead monitor: its container is killed, its end is told once, and a policy starts nothing twice',
  { skip },
  async () => {
    await using lab = new UserLab();
    await lab.ok(
      'run',
      '-d',
      '--name',
      'c',
      '--restart',
      'always',
      lab.source,
      'sh',
      '-c',
      'setsid sleep 1000 & exec sleep 1000',
    );
    const monitor = lab.processes().find(({ command }) => command.startsWith('tare: monitor c'))?.pid ?? 0;
    const { State } = await inspect(lab, 'c');
    process.kill(monitor, 'SIGKILL');
    await until(() => !isAlive(monitor), WAIT_MS, 'the monitor is dead');
    assert.equal(await lab.ok('ps', '-a', '--format', '{{.State}} {{.ExitCode}}'), 'exited 137');
    assert.equal(isAlive(State.Pid), false);
    await until(() => !lab.processes().some(({ command }) => command === 'sleep 1000'), WAIT_MS, 'all of it is dead');
    assert.deepEqual(await told(lab, 'c', 'die'), ['create', 'start', 'die']);
    assert.equal(await lab.ok('start', 'c'), 'c');
    await lab.ok('rm', '-f', 'c');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'log drivers: a file with a limit, none, the creator’s own streams; journald says where it is not',
  { skip },
  async () => {
    await using lab = new UserLab();
    const run = (...flags: string[]) =>
      lab.tare('run', ...flags, lab.source, 'sh', '-c', 'echo out; echo err >&2; exit 9');
    const kept = await run('--name', 'file', '--log-driver', 'k8s-file');
    assert.deepEqual([kept.code, kept.stdout, kept.stderr], [9, 'out\n', 'err\n']);
    const logs = await lab.tare('logs', 'file');
    assert.deepEqual([logs.stdout, logs.stderr], ['out\n', 'err\n']);
    const flood = 'i=0; while test $i -lt 2000; do echo line $i; i=$((i+1)); done';
    await lab.ok('run', '--name', 'small', '--log-opt', 'max-size=4k', lab.source, 'sh', '-c', flood);
    const small = await lab.ok('logs', 'small');
    assert.ok(small.endsWith('line 1999') && small.length < 10_000, String(small.length));
    assert.equal((await run('--name', 'none', '--log-driver', 'none')).code, 9);
    const none = await lab.tare('logs', 'none');
    assert.match(none.stderr, /^Error: Cannot read logs of none: [^\n]+\n$/);
    const through = await run('--name', 'through', '--log-driver', 'passthrough');
    assert.deepEqual([through.code, through.stdout, through.stderr], [9, 'out\n', 'err\n']);
    if (existsSync('/run/systemd/journal/socket')) return;
    const journald = await run('--log-driver', 'journald');
    assert.equal(journald.code, 125);
    assert.match(journald.stderr, /journald does not run here .*use --log-driver k8s-file/);
  },
);
