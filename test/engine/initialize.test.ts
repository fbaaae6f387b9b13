/** Containers that are prepared completely and wait for their start: what each verb makes of them, and who dies meanwhile. */
import assert from 'node:assert/strict';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../src/base/errors.ts';
import {
  attachContainer,
  checkHealth,
  containerProcesses,
  createContainer,
  execContainer,
  initializeContainer,
  inspectContainer,
  killContainer,
  listContainers,
  pauseContainer,
  pruneContainers,
  readEvents,
  reconcile,
  reconcileAll,
  removeContainer,
  renameContainer,
  restartContainer,
  startable,
  startContainer,
  stopContainer,
  updateContainer,
  waitContainer,
  type ContainerSummary,
  type CreateOptions,
} from '../../src/engine/mod.ts';
import { readExit, readLifeState } from '../../src/runtime/state.ts';
import { canRun, clear, isAlive, Lab, outcome, read, until } from './lab.ts';

const skip = canRun;
const timeout = 120_000;
const detached = { attach: false, stdin: false } as const;

interface Inspected {
  readonly RestartCount: number;
  readonly State: Readonly<Record<string, unknown>>;
}

/** A container that is initialized. */
async function initialized(lab: Lab, argv: readonly string[], options: Partial<CreateOptions> = {}): Promise<string> {
  const { id } = await createContainer(lab.engine, { source: lab.source, ...options, argv });
  assert.deepEqual(await initializeContainer(lab.engine, id), []);
  assert.equal(stateOf(lab, id), 'initialized');
  return id;
}

const summaryOf = (lab: Lab, id: string): ContainerSummary | undefined =>
  listContainers(lab.engine).find((container) => container.id === id);
const stateOf = (lab: Lab, id: string): string | undefined => summaryOf(lab, id)?.state;

async function actions(lab: Lab, id: string): Promise<string[]> {
  const told: string[] = [];
  for await (const { action } of readEvents(lab.engine, { follow: false, filters: new Map([['container', [id]]]) }))
    told.push(action);
  return told;
}

/** What was printed until the end, and the exit code. */
async function startAttached(lab: Lab, id: string): Promise<{ readonly output: string; readonly code: number }> {
  const running = await startContainer(lab.engine, id, { attach: true, stdin: false });
  let output = '';
  running.onOutput((_stream, bytes) => {
    output += Buffer.from(bytes).toString();
  });
  const { code } = await running.exit;
  await running.finish();
  return { output, code };
}

test('a container is prepared, and the start lets the same process go on', { skip, timeout }, async () => {
  await using lab = new Lab();
  const id = await initialized(lab, ['sh', '-c', 'echo out; echo $$; exit 5'], { hostname: 'ready' });
  const pid = summaryOf(lab, id)?.pid ?? 0;
  const monitor = lab.monitorOf(id);
  // Its namespaces, its root and its cgroup are there; its program is not.
  assert.match(read(`/proc/${pid}/cgroup`), new RegExp(`${lab.cgroupParent}/${id}`));
  assert.equal(read(`/proc/${pid}/root/etc/hostname`), 'ready\n');
  assert.doesNotMatch(read(`/proc/${pid}/cmdline`), /echo out/);
  const { State } = (await inspectContainer(lab.engine, id)) as Inspected;
  assert.deepEqual(
    [State['Status'], State['Running'], State['Pid'], State['StartedAt']],
    ['initialized', false, pid, '0001-01-01T00:00:00Z'],
  );
  assert.deepEqual(await initializeContainer(lab.engine, id), [], 'once more is no error');
  await sleep(300);
  const before = Date.now();
  assert.deepEqual(await startAttached(lab, id), { output: 'out\n1\n', code: 5 });
  const exit = readExit(lab.at(id));
  assert.equal(exit?.code, 5);
  assert.ok(Date.parse(exit.startedAt) >= before - 5, 'it started when it was started, not when it was initialized');
  await until(() => !isAlive(monitor), 5000, 'its monitor is gone');
  assert.deepEqual(await actions(lab, id), ['create', 'init', 'attach', 'start', 'die']);
  // What has ended is initialized as well, and the record of its run stays.
  await initializeContainer(lab.engine, id);
  assert.deepEqual(readExit(lab.at(id)), exit);
  const again = await startContainer(lab.engine, id, detached);
  assert.ok(again.pid > 1);
  assert.equal((await waitContainer(lab.engine, id))?.code, 5);
  assert.notEqual(readExit(lab.at(id))?.startedAt, exit.startedAt);
  await removeContainer(lab.engine, id);
  assert.deepEqual(await lab.leftovers(), []);
});

test('startedAt of a running one that was initialized is that of its start', { skip, timeout }, async () => {
  await using lab = new Lab();
  const id = await initialized(lab, ['sleep', '1000']);
  await sleep(300);
  const before = Date.now();
  const { pid } = await startContainer(lab.engine, id, detached);
  assert.ok(Date.parse(summaryOf(lab, id)?.startedAt ?? '') >= before - 5);
  // Its monitor dies: the record says the same.
  process.kill(lab.monitorOf(id), 'SIGKILL');
  await until(() => readLifeState(lab.at(id))?.held === false, 5000, 'its monitor is dead');
  await reconcile(lab.engine, id);
  assert.ok(Date.parse(readExit(lab.at(id))?.startedAt ?? '') >= before - 5);
  assert.equal(isAlive(pid), false);
});

test('what needs a program is refused; the rest works on it', { skip, timeout }, async () => {
  await using lab = new Lab();
  const id = await initialized(lab, ['sh', '-c', 'cat /copied /proc/self/cgroup; exit 4'], { name: 'ready' });
  const refused = clear('failed-precondition', /it is initialized, not running/);
  await assert.rejects(execContainer(lab.engine, id, { argv: ['true'] }, 'detach'), refused);
  await assert.rejects(pauseContainer(lab.engine, id), refused);
  await assert.rejects(killContainer(lab.engine, id, 'TERM'), refused);
  await assert.rejects(attachContainer(lab.engine, id, { stdin: false }), refused);
  await assert.rejects(containerProcesses(lab.engine, id, []), refused);
  await assert.rejects(checkHealth(lab.engine, id), clear('failed-precondition', /no health check/));
  writeFileSync(join(lab.dir, 'copied'), 'from outside\n');
  assert.equal((await lab.tare('cp', join(lab.dir, 'copied'), 'ready:/copied')).code, 0);
  assert.equal((await lab.tare('cp', 'ready:/copied', '-')).stdout.includes('from outside'), true);
  assert.match((await lab.tare('diff', 'ready')).stdout, /A \/copied/);
  await updateContainer(lab.engine, id, { resources: { pidsLimit: 77 } });
  await renameContainer(lab.engine, id, 'steady');
  assert.equal(stateOf(lab, id), 'initialized');
  assert.deepEqual(
    (await startable(lab.engine)).map(({ name }) => name),
    ['steady'],
  );
  const logs = outcome(lab.startTare(['logs', '-f', 'steady']));
  const waiting = waitContainer(lab.engine, id);
  await sleep(200);
  const { output, code } = await startAttached(lab, id);
  assert.match(output, /^from outside\n/);
  assert.equal(code, 4);
  assert.equal((await waiting)?.code, 4);
  assert.match((await logs).stdout, /^from outside\n/);
});

test('stop, and the death of its process or its monitor, make it what it was before', { skip, timeout }, async () => {
  await using lab = new Lab();
  const ends: readonly ((id: string) => Promise<unknown>)[] = [
    (id) => stopContainer(lab.engine, id),
    async (id) => process.kill(summaryOf(lab, id)?.pid ?? 0, 'SIGKILL'),
    async (id) => process.kill(lab.monitorOf(id), 'SIGKILL'),
  ];
  const { id } = await createContainer(lab.engine, { source: lab.source, argv: ['sh', '-c', 'exit 6'] });
  for (const before of ['created', 'exited']) {
    const exit = readExit(lab.at(id));
    for (const [index, end] of ends.entries()) {
      await initializeContainer(lab.engine, id);
      const pid = summaryOf(lab, id)?.pid ?? 0;
      const waiting = waitContainer(lab.engine, id);
      await end(id);
      await until(() => stateOf(lab, id) === before, 5000, `it is ${before} again (${index})`);
      assert.deepEqual(await waiting, exit);
      await reconcileAll(lab.engine);
      assert.equal(isAlive(pid), false);
      assert.deepEqual(lab.cgroups(), []);
      assert.deepEqual(readExit(lab.at(id)), exit, 'no exit record is lost or invented');
      assert.equal(existsSync(lab.at(id, 'pid')), false);
      await until(() => readLifeState(lab.at(id))?.held === false, 5000, 'nobody holds it');
    }
    if (before === 'created') assert.equal((await startAttached(lab, id)).code, 6);
  }
  assert.equal((await actions(lab, id)).filter((action) => action === 'die').length, 1);
  await removeContainer(lab.engine, id);
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'a start whose program is not there fails as any start does, and leaves it as it was',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const id = await initialized(lab, ['no-such-program']);
    const failed = clear('not-found', /Cannot execute no-such-program: not found in \$PATH/, 127);
    await assert.rejects(startContainer(lab.engine, id, detached), failed);
    assert.equal(stateOf(lab, id), 'created');
    await assert.rejects(startContainer(lab.engine, id, detached), failed);
  },
);

test('after a reboot it is what it was before', { skip, timeout }, async () => {
  await using lab = new Lab();
  const id = await initialized(lab, ['true']);
  process.kill(lab.monitorOf(id), 'SIGKILL');
  await until(() => readLifeState(lab.at(id))?.held === false, 5000, 'its monitor is dead');
  rmSync(lab.engine.runRoot, { recursive: true, force: true });
  assert.equal(stateOf(lab, id), 'created');
  const engine = lab.anotherEngine();
  assert.equal((await startContainer(engine, id, detached)).id, id);
  assert.equal((await waitContainer(engine, id))?.code, 0);
});

test('one that removes itself stays until it has run', { skip, timeout }, async () => {
  await using lab = new Lab();
  const id = await initialized(lab, ['echo', 'ran'], { autoRemove: true });
  await stopContainer(lab.engine, id, { untilRemoved: true });
  assert.equal(stateOf(lab, id), 'created');
  await initializeContainer(lab.engine, id);
  assert.deepEqual(await startAttached(lab, id), { output: 'ran\n', code: 0 });
  assert.deepEqual(await lab.leftovers(), []);
});

test('rm and prune remove it, restart lets it go on', { skip, timeout }, async () => {
  await using lab = new Lab();
  await removeContainer(lab.engine, await initialized(lab, ['true']));
  const id = await initialized(lab, ['true']);
  assert.deepEqual((await pruneContainers(lab.engine)).removed, [id]);
  assert.deepEqual(await lab.leftovers(), []);
  const other = await initialized(lab, ['sleep', '1000']);
  const pid = summaryOf(lab, other)?.pid;
  await restartContainer(lab.engine, other, { timeoutSeconds: 0 });
  assert.equal(summaryOf(lab, other)?.state, 'running');
  assert.equal(summaryOf(lab, other)?.pid, pid);
  const running = clear('failed-precondition', /Cannot initialize container .*: it is running/);
  await assert.rejects(initializeContainer(lab.engine, other), running);
});

test('restarts and health checks count from the start', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await createContainer(lab.engine, {
    source: lab.source,
    argv: ['sh', '-c', 'sleep 0.4; exit 9'],
    restart: { policy: 'on-failure', maxRetries: 1 },
    health: { test: ['CMD', 'true'], intervalMs: 50 },
  });
  for (let run = 0; run < 2; run++) {
    await initializeContainer(lab.engine, id);
    await sleep(200);
    const { RestartCount, State } = (await inspectContainer(lab.engine, id)) as Inspected;
    // Those of the run before, until it starts.
    assert.equal(RestartCount, run);
    if (run === 0) assert.deepEqual(State['Health'], { Status: 'starting', FailingStreak: 0, Log: [] });
    await startContainer(lab.engine, id, detached);
    assert.equal(((await inspectContainer(lab.engine, id)) as Inspected).RestartCount, 0);
    await until(() => summaryOf(lab, id)?.health === 'healthy', 5000, 'it was checked');
    assert.equal((await waitContainer(lab.engine, id))?.code, 9);
    assert.equal(((await inspectContainer(lab.engine, id)) as Inspected).RestartCount, 1);
  }
});

test('several at once: one prepares it, one starts it, nobody waits for ever', { skip, timeout }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 5; round++) {
    const { id } = await createContainer(lab.engine, { source: lab.source, argv: ['sh', '-c', 'sleep 0.3; exit 3'] });
    const engines = [0, 1, 2].map(() => lab.anotherEngine());
    await Promise.all(engines.map((engine) => initializeContainer(engine, id)));
    assert.equal((await actions(lab, id)).filter((action) => action === 'init').length, 1);
    await Promise.all(engines.map((engine) => startContainer(engine, id, detached)));
    assert.equal((await waitContainer(lab.engine, id))?.code, 3);
    assert.equal((await actions(lab, id)).filter((action) => action === 'start').length, 1);
    // A start wins over init, or goes on from it.
    const [started, prepared] = await Promise.allSettled([
      startContainer(lab.engine, id, detached),
      initializeContainer(lab.anotherEngine(), id),
    ]);
    assert.equal(started.status, 'fulfilled');
    if (prepared.status === 'rejected') assert.match(String(prepared.reason), /it is running/);
    assert.equal((await waitContainer(lab.engine, id))?.code, 3);
    // Removal and init: it is gone in the end, whoever was first.
    const [gone, made] = await Promise.allSettled([
      removeContainer(lab.engine, id),
      initializeContainer(lab.anotherEngine(), id),
    ]);
    assert.equal(gone.status, 'fulfilled');
    if (made.status === 'rejected') assert.ok(isKind(made.reason, 'not-found'), String(made.reason));
    assert.deepEqual(await lab.leftovers(), []);
  }
});

test('rm without force, or stop, and start at once: it ran, or it never did', { skip, timeout }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 12; round++) {
    const id = await initialized(lab, ['sleep', '1000']);
    const stops = round % 2 === 0;
    const start = sleep(round % 3).then(() => startContainer(lab.engine, id, detached));
    const engine = lab.anotherEngine();
    const [started, other] = await Promise.allSettled([
      start,
      stops ? stopContainer(engine, id, { timeoutSeconds: 0 }) : removeContainer(engine, id),
    ]);
    if (stops) {
      assert.equal(other.status, 'fulfilled');
      const exit = readExit(lab.at(id));
      // The start came first, was in vain, or came after the stop.
      if (stateOf(lab, id) === 'exited') assert.deepEqual([started.status, exit?.code], ['fulfilled', 137]);
      else if (stateOf(lab, id) === 'created') assert.deepEqual([started.status, exit], ['rejected', undefined]);
      else assert.deepEqual([stateOf(lab, id), started.status], ['running', 'fulfilled']);
    } else if (other.status === 'rejected') {
      assert.match(String(other.reason), /it is running/);
      assert.equal(started.status, 'fulfilled');
      assert.equal(stateOf(lab, id), 'running', 'a removal without force kills nothing that runs');
    } else assert.equal(started.status, 'rejected');
    if (started.status === 'rejected')
      assert.ok(
        ['failed-precondition', 'not-found'].some((kind) => isKind(started.reason, kind as 'not-found')),
        String(started.reason),
      );
    await removeContainer(lab.engine, id, { force: true }).catch((error: unknown) =>
      assert.ok(isKind(error, 'not-found')),
    );
  }
  assert.deepEqual(await lab.leftovers(), []);
});

test('tare init killed -9 at any moment: it is initialized, or as before, and starts', { skip, timeout }, async () => {
  await using lab = new Lab();
  const seen = new Set<string>();
  for (let round = 0; round < 14; round++) {
    const { id } = await createContainer(lab.engine, { source: lab.source, argv: ['sh', '-c', 'exit 8'] });
    const child = lab.startTare(['init', id]);
    const ended = outcome(child);
    await sleep(round * 12);
    child.kill('SIGKILL');
    await ended;
    // Its monitor may still be at it.
    await until(
      () => stateOf(lab, id) === 'initialized' || readLifeState(lab.at(id))?.held === false,
      5000,
      'it is one or the other',
    );
    const state = stateOf(lab, id) ?? '';
    seen.add(state);
    assert.ok(['created', 'initialized'].includes(state), state);
    assert.equal((await startAttached(lab, id)).code, 8);
    await removeContainer(lab.engine, id);
  }
  assert.ok(seen.has('created'), [...seen].join(' '));
  assert.deepEqual(await lab.leftovers(), []);
});

test('a monitor killed -9 around the start: what is recorded is what was', { skip, timeout }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 12; round++) {
    const id = await initialized(lab, ['sleep', '1000']);
    const monitor = lab.monitorOf(id);
    const start = startContainer(lab.engine, id, detached).then(
      () => true,
      (error: unknown) => {
        assert.match(String(error), /Cannot /);
        return false;
      },
    );
    await sleep(round / 2);
    process.kill(monitor, 'SIGKILL');
    const started = await start;
    await until(() => readLifeState(lab.at(id))?.held === false, 5000, 'nobody holds it');
    await reconcileAll(lab.engine);
    const exit = readExit(lab.at(id));
    // Who was told that it runs finds its end.
    if (started && stateOf(lab, id) !== 'running') assert.equal(exit?.code, 137);
    assert.equal(stateOf(lab, id), exit === undefined ? 'created' : 'exited');
    assert.deepEqual(lab.cgroups(), []);
    await removeContainer(lab.engine, id);
  }
  assert.deepEqual(await lab.leftovers(), []);
});
