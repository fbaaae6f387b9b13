/** What the monitor does while nobody of us is there: restarts, time limits, and that a dead monitor or client changes no truth. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../src/base/errors.ts';
import {
  execContainer,
  inspectContainer,
  killContainer,
  listContainers,
  readEvents,
  reconcileAll,
  removeContainer,
  startContainer,
  startable,
  stopContainer,
  waitContainer,
  type TareEvent,
} from '../../src/engine/mod.ts';
import { readExit, readLifeState } from '../../src/runtime/state.ts';
import { canRun, hasCgroups, isAlive, Lab, outcome, read, until } from './lab.ts';

const skip = canRun;
const timeout = 120_000;

interface Inspected {
  readonly RestartCount: number;
  readonly State: {
    readonly Status: string;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly Restarting: boolean;
    readonly StoppedByUser: boolean;
  };
}

const inspect = async (lab: Lab, id: string): Promise<Inspected> =>
  (await inspectContainer(lab.engine, id)) as Inspected;

async function told(lab: Lab, id: string): Promise<TareEvent[]> {
  const events: TareEvent[] = [];
  for await (const event of readEvents(lab.engine, { follow: false, filters: new Map([['container', [id]]]) }))
    events.push(event);
  return events;
}

/** The same when the last word is said: the monitor tells of an end after it has recorded it. */
async function toldUntil(lab: Lab, id: string, last: string): Promise<TareEvent[]> {
  const end = Date.now() + 30_000;
  for (;;) {
    const events = await told(lab, id);
    if (events.at(-1)?.action === last || Date.now() > end) return events;
    await sleep(5);
  }
}

const words = (events: readonly TareEvent[]): string[] => events.map(({ action }) => action);

/** Started `count` times again, and runs. */
async function restarted(lab: Lab, id: string, count: number): Promise<void> {
  await until(() => restarts(lab, id).count >= count && !restarts(lab, id).waiting, 30_000, `restart ${count}`);
  await until(() => existsSync(lab.at(id, 'pid')), 30_000, 'it runs');
}

function restarts(lab: Lab, id: string): { count: number; waiting: boolean } {
  const text = read(lab.at(id, 'restarts'));
  return text === '' ? { count: 0, waiting: false } : (JSON.parse(text) as { count: number; waiting: boolean });
}

test(
  'restart on-failure: so often, each with its events and exit record, in the same cgroup on the same mounts',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const shared = join(lab.dir, 'shared');
    mkdirSync(shared);
    writeFileSync(join(lab.dir, 'file'), 'bound\n');
    const script =
      'echo x >> /root/runs; cat /root/runs > /shared/runs; cat /file >> /shared/file; cat /proc/self/cgroup > /shared/cgroup.$(wc -l < /root/runs); exit 3';
    const { id } = await lab.detached(['sh', '-c', script], {
      name: 'again',
      restart: { policy: 'on-failure', maxRetries: 2 },
      labels: { l: 'v' },
      mounts: [
        { type: 'bind', source: shared, destination: '/shared', readOnly: false },
        { type: 'bind', source: join(lab.dir, 'file'), destination: '/file', readOnly: true },
        { type: 'tmpfs', destination: '/scratch', options: [] },
      ],
    });
    assert.equal((await waitContainer(lab.engine, id))?.code, 3);
    assert.equal(readFileSync(join(shared, 'runs'), 'utf8'), 'x\nx\nx\n');
    assert.equal(readFileSync(join(shared, 'file'), 'utf8'), 'bound\n'.repeat(3));
    assert.equal(readFileSync(join(shared, 'cgroup.1'), 'utf8'), readFileSync(join(shared, 'cgroup.3'), 'utf8'));
    const events = await told(lab, id);
    assert.deepEqual(words(events), ['create', 'start', 'die', 'restart', 'start', 'die', 'restart', 'start', 'die']);
    for (const event of events.filter(({ action }) => action === 'die')) {
      assert.deepEqual([event.attributes, event.name, event.labels], [{ exitCode: '3' }, 'again', { l: 'v' }]);
    }
    const { RestartCount, State } = await inspect(lab, id);
    assert.deepEqual([RestartCount, State.Status, State.ExitCode, State.StoppedByUser], [2, 'exited', 3, false]);
    // A start by hand counts from there.
    await startContainer(lab.engine, id, { attach: false, stdin: false });
    await waitContainer(lab.engine, id);
    assert.equal((await inspect(lab, id)).RestartCount, 2);
    assert.equal(readFileSync(join(shared, 'runs'), 'utf8'), 'x\n'.repeat(6));
    await removeContainer(lab.engine, id);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('restart on-failure: exit 0 is the end', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['true'], { restart: { policy: 'on-failure' } });
  assert.equal((await waitContainer(lab.engine, id))?.code, 0);
  assert.deepEqual(words(await toldUntil(lab, id, 'die')), ['create', 'start', 'die']);
});

test(
  'restart always: comes back after a death of any kind, with fresh streams; not after a stop or a kill by its user',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sh', '-c', 'echo up; exec sleep 1000'], { restart: { policy: 'always' } });
    const said = (): number => read(lab.at(id, 'ctr.log')).split('\n').length - 1;
    for (let count = 1; count <= 3; count++) {
      await until(() => existsSync(lab.at(id, 'pid')) && said() === count, 30_000, 'it runs');
      process.kill((await inspect(lab, id)).State.Pid, 'SIGKILL');
      await restarted(lab, id, count);
    }
    await until(() => said() === 4, 30_000, 'it runs');
    assert.equal((await inspect(lab, id)).RestartCount, 3);
    const session = await execContainer(lab.engine, id, { argv: ['echo', 'in it'] }, 'pipe');
    let text = '';
    session.onOutput((_, bytes) => void (text += Buffer.from(bytes).toString()));
    assert.equal((await session.exit).code, 0);
    session.close();
    assert.equal(text, 'in it\n');
    assert.equal((await lab.tare('logs', id)).stdout, 'up\n'.repeat(4));
    await killContainer(lab.engine, id, 'KILL');
    assert.equal((await waitContainer(lab.engine, id))?.code, 137);
    assert.equal((await inspect(lab, id)).State.StoppedByUser, true);
    assert.equal(restarts(lab, id).count, 3);
    await startContainer(lab.engine, id, { attach: false, stdin: false });
    await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
    assert.deepEqual(words(await toldUntil(lab, id, 'stop')).slice(-3), ['start', 'die', 'stop']);
    await removeContainer(lab.engine, id);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'restart always: a stop while it waits for its next start ends it once and keeps the exit code',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sh', '-c', 'exit 7'], { restart: { policy: 'always' } });
    // The pauses double: soon it waits long.
    await until(() => restarts(lab, id).count >= 3 && restarts(lab, id).waiting, 30_000, 'it waits');
    const [summary] = listContainers(lab.engine);
    assert.deepEqual([summary?.state, summary?.exitCode, summary?.pid], ['restarting', 7, undefined]);
    assert.match((await lab.tare('ps')).stdout, /Restarting \(7\)/);
    assert.ok(
      isKind(
        await execContainer(lab.engine, id, { argv: ['true'] }, 'pipe').catch((error: unknown) => error),
        'failed-precondition',
      ),
    );
    const stops = await Promise.allSettled([1, 2, 3].map(() => stopContainer(lab.engine, id)));
    assert.deepEqual(
      stops.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'fulfilled'],
    );
    const count = restarts(lab, id).count;
    assert.deepEqual(readLifeState(lab.at(id))?.phase, 'exited');
    const exit = readExit(lab.at(id));
    assert.deepEqual([exit?.code, exit?.stopped], [7, true]);
    await sleep(300);
    assert.equal(restarts(lab, id).count, count);
    const events = words(await toldUntil(lab, id, 'stop'));
    assert.equal(events.filter((word) => word === 'die').length, events.filter((word) => word === 'start').length);
    await removeContainer(lab.engine, id);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('restart: whoever is attached stays until it ends for good, and hears every run', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { stdout, code } = await outcome(
    lab.startTare(['run', '--restart=on-failure:2', `--rootfs=${lab.rootfs}:O`, 'sh', '-c', 'echo run; exit 4']),
  );
  assert.deepEqual([stdout, code], ['run\n'.repeat(3), 4]);
});

test(
  'restart: a monitor killed at any moment leaves the last exit code, or one that says it was killed, and no process',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    for (let round = 0; round < 12; round++) {
      const { id } = await lab.detached(['sh', '-c', 'sleep 0.02; exit 5'], { restart: { policy: 'always' } });
      const monitor = lab.monitorOf(id);
      await sleep(Math.random() * 400);
      process.kill(monitor, 'SIGKILL');
      // So is what it had just born: until then that has the lock, too.
      await until(() => !isAlive(monitor) && readLifeState(lab.at(id))?.held === false, 5000, 'the monitor is dead');
      await reconcileAll(lab.engine);
      const exit = readExit(lab.at(id));
      assert.ok(exit !== undefined && [5, 137].includes(exit.code), JSON.stringify(exit));
      assert.deepEqual([readLifeState(lab.at(id))?.phase, lab.processes()], ['exited', []]);
      const runs = words(await told(lab, id)).filter((word) => word === 'start' || word === 'die');
      assert.deepEqual(runs.at(-1), 'die');
      await removeContainer(lab.engine, id);
    }
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'restart: clients killed while it starts again and while they stop it: it runs once, or has ended',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sh', '-c', 'sleep 0.05; exit 1'], { restart: { policy: 'always' } });
    await restarted(lab, id, 1);
    for (let round = 0; round < 6; round++) {
      const client = lab.startTare(['stop', '-t', '5', id]);
      await sleep(Math.random() * 120);
      client.kill('SIGKILL');
      await startContainer(lab.engine, id, { attach: false, stdin: false }).catch(() => {});
      await sleep(Math.random() * 150);
      assert.ok(
        lab.cgroups().every((path) => read(join(path, 'cgroup.procs')).split('\n').filter(Boolean).length <= 2),
      );
    }
    await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
    assert.equal(readLifeState(lab.at(id))?.phase, 'exited');
    await removeContainer(lab.engine, id);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'restart: a program that is gone at a next start is an end with 127 that is tried again',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sh', '-c', 'cp /bin/busybox /tmp/b 2>/dev/null; rm /bin/sh; exit 1'], {
      restart: { policy: 'on-failure', maxRetries: 2 },
    });
    assert.equal((await waitContainer(lab.engine, id))?.code, 127);
    assert.deepEqual(words(await toldUntil(lab, id, 'die')), [
      'create',
      'start',
      'die',
      'restart',
      'die',
      'restart',
      'die',
    ]);
  },
);

test('restart with a terminal: each run has its own', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sh', '-c', 'test -t 0 && echo tty; exit 1'], {
    terminal: true,
    restart: { policy: 'on-failure', maxRetries: 2 },
  });
  await waitContainer(lab.engine, id);
  assert.equal((await lab.tare('logs', id)).stdout.replaceAll('\r', ''), 'tty\n'.repeat(3));
});

test('restart: not with autoRemove; only on-failure counts', { skip, timeout }, async () => {
  await using lab = new Lab();
  for (const options of [
    { autoRemove: true, restart: { policy: 'always' } as const },
    { restart: { policy: 'always', maxRetries: 3 } as const },
  ])
    assert.ok(isKind(await lab.detached(['true'], options).catch((error: unknown) => error), 'invalid'));
  assert.deepEqual(await lab.leftovers(), []);
});

test('startable: what a boot starts; unless-stopped is not what a user stopped', { skip, timeout }, async () => {
  await using lab = new Lab();
  const ids: Record<string, string> = {};
  for (const policy of ['always', 'unless-stopped'] as const) {
    const { id } = await lab.detached(['sleep', '1000'], { name: policy, restart: { policy } });
    await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
    ids[policy] = id;
  }
  const { id } = await lab.detached(['sleep', '1000'], { name: 'crashed', restart: { policy: 'unless-stopped' } });
  const monitor = lab.monitorOf(id);
  process.kill(monitor, 'SIGKILL');
  await until(() => !isAlive(monitor), 5000, 'the monitor is dead');
  assert.deepEqual((await startable(lab.engine)).map(({ name }) => name).sort(), ['always', 'crashed']);
  const started = await lab.tare('start', '--all', '--filter', 'restart-policy=always');
  assert.deepEqual([started.stdout, started.code], ['always\n', 0]);
  assert.equal(readLifeState(lab.at(ids['always'] ?? ''))?.phase, 'running');
});

test('timeout: killed so long after its start', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { exit } = await lab.run(['sleep', '1000'], { timeoutSeconds: 0.2 });
  assert.deepEqual([exit.code, exit.signal], [137, 9]);
  const quick = await lab.run(['true'], { timeoutSeconds: 1000 });
  assert.equal(quick.code, 0);
  assert.deepEqual(await lab.leftovers(), []);
});

test('events: attach, exec, kill and stop of a container', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sh', '-c', 'trap : HUP; while :; do sleep 1; done'], { name: 'told' });
  const session = await execContainer(lab.engine, id, { argv: ['sh', '-c', 'exit 6'] }, 'pipe');
  assert.equal((await session.exit).code, 6);
  session.close();
  await killContainer(lab.engine, id, 'HUP');
  await stopContainer(lab.engine, id, { signal: 'KILL' });
  await removeContainer(lab.engine, id);
  const events = await told(lab, id);
  assert.deepEqual(words(events), [
    'create',
    'start',
    'exec_create',
    'exec_start',
    'exec_die',
    'kill',
    'kill',
    'die',
    'stop',
    'destroy',
  ]);
  assert.deepEqual(events[4]?.attributes, { execID: session.id, exitCode: '6' });
  assert.deepEqual(events[5]?.attributes, { signal: '1' });
  assert.deepEqual(events[7]?.attributes, { exitCode: '137', signal: '9' });
  await lab.run(['true'], { name: 'short' });
  assert.deepEqual(words(await told(lab, 'short')), ['create', 'attach', 'start', 'die', 'destroy']);
});

test('events: a container whose monitor was killed dies for whoever listens', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000']);
  const monitor = lab.monitorOf(id);
  process.kill(monitor, 'SIGKILL');
  await until(() => !isAlive(monitor), 5000, 'the monitor is dead');
  await reconcileAll(lab.engine);
  await reconcileAll(lab.engine);
  assert.deepEqual(
    (await told(lab, id)).map(({ action, attributes }) => [action, attributes['exitCode']]),
    [
      ['create', undefined],
      ['start', undefined],
      ['die', '137'],
    ],
  );
});

test(
  'log driver passthrough: it has the streams of whoever created it, and logs says so',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const run = ['run', '--name=through', '--log-driver=passthrough', `--rootfs=${lab.rootfs}:O`];
    const went = await lab.tare(...run, 'sh', '-c', 'echo out; echo err >&2; exit 9');
    assert.deepEqual(went, { code: 9, stdout: 'out\n', stderr: 'err\n' });
    const logs = await lab.tare('logs', 'through');
    assert.equal(logs.code, 1);
    assert.match(logs.stderr, /Cannot read logs of through: it was created with --log-driver passthrough/);
    const terminal = await lab.tare(...run, '-t', 'true');
    assert.equal(terminal.code, 125);
  },
);

test(
  'events: pause, unpause, rename, update and restart; the monitor goes on under the new name',
  { skip: skip || hasCgroups, timeout },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sleep', '1000'], { name: 'one' });
    for (const line of ['pause one', 'unpause one', 'rename one two', 'update --pids-limit 50 two', 'restart -t 0 two'])
      assert.deepEqual([line, (await lab.tare(...line.split(' '))).code], [line, 0]);
    const events = (await toldUntil(lab, id, 'restart')).filter(({ action }) => action !== 'create');
    assert.deepEqual(
      events.map(({ action, name }) => `${action} ${name}`),
      [
        'start one',
        'pause one',
        'unpause one',
        'rename two',
        'update two',
        'die two',
        'stop two',
        'start two',
        'restart two',
      ],
    );
    assert.deepEqual(events[3]?.attributes, { oldName: 'one' });
  },
);
