/** Restart policies that change while a container runs: in force at once, and one of two whoever dies. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  cloneContainer,
  createContainer,
  initializeContainer,
  inspectContainer,
  killContainer,
  listContainers,
  reconcileAll,
  removeContainer,
  renameContainer,
  startable,
  startContainer,
  stopContainer,
  updateContainer,
  waitContainer,
  readEvents,
  type ContainerSummary,
  type RestartPolicy,
} from '../../src/engine/mod.ts';
import { readExit, readLifeState } from '../../src/runtime/state.ts';
import { canRun, clear, isAlive, Lab, outcome, read, until } from './lab.ts';

const skip = canRun;
const timeout = 120_000;
const detached = { attach: false, stdin: false } as const;
const always = { policy: 'always' } as const;
const no = { policy: 'no' } as const;

interface Inspected {
  readonly RestartCount: number;
  readonly State: Readonly<Record<string, unknown>>;
  readonly HostConfig: { readonly RestartPolicy: { readonly Name: string; readonly MaximumRetryCount: number } };
}

const inspect = async (lab: Lab, id: string): Promise<Inspected> =>
  (await inspectContainer(lab.engine, id)) as Inspected;
const policyOf = async (lab: Lab, id: string): Promise<string> =>
  (await inspect(lab, id)).HostConfig.RestartPolicy.Name;
const summaryOf = (lab: Lab, id: string): ContainerSummary | undefined =>
  listContainers(lab.engine).find((container) => container.id === id);
const stateOf = (lab: Lab, id: string): string | undefined => summaryOf(lab, id)?.state;
const change = (lab: Lab, id: string, restart: RestartPolicy): Promise<readonly string[]> =>
  updateContainer(lab.engine, id, { restart });

/** Kills its first process; the pid of the next one, or undefined when it has ended for good. */
async function killOnce(lab: Lab, id: string): Promise<number | undefined> {
  const before = summaryOf(lab, id)?.pid ?? 0;
  assert.ok(before > 1, `it runs: ${stateOf(lab, id)}`);
  process.kill(before, 'SIGKILL');
  const next = (): number | undefined => {
    const { state, pid } = summaryOf(lab, id) ?? {};
    return state === 'running' && pid !== before ? pid : undefined;
  };
  await until(() => next() !== undefined || stateOf(lab, id) === 'exited', 20_000, 'it runs again, or has ended');
  return next();
}

/** Pids of the programs that are to start a container again. */
function successors(id: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && read(`/proc/${name}/cmdline`).includes(`--again\0${id}`))
    .map(Number);
}

test('from no to on-failure: a running one starts again as often as it says', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id, pid } = await lab.detached(['sh', '-c', 'echo run; sleep 0.5; exit 5'], {
    health: { test: ['CMD', 'true'], intervalMs: 50 },
  });
  await change(lab, id, { policy: 'on-failure', maxRetries: 2 });
  assert.equal(summaryOf(lab, id)?.pid, pid, 'it was not restarted for that');
  assert.deepEqual((await inspect(lab, id)).HostConfig.RestartPolicy, { Name: 'on-failure', MaximumRetryCount: 2 });
  await until(() => stateOf(lab, id) === 'restarting', 10_000, 'it ended');
  assert.equal(readExit(lab.at(id))?.code, 5);
  await until(() => stateOf(lab, id) === 'running', 10_000, 'it started again');
  assert.notEqual(summaryOf(lab, id)?.pid, pid);
  await until(() => summaryOf(lab, id)?.health === 'healthy', 10_000, 'its health is checked again');
  assert.equal((await waitContainer(lab.engine, id))?.code, 5);
  assert.equal((await inspect(lab, id)).RestartCount, 2);
  assert.equal((await lab.tare('logs', id)).stdout, 'run\n'.repeat(3));
  const told: string[] = [];
  for await (const { action } of readEvents(lab.engine, { follow: false, filters: new Map([['container', [id]]]) }))
    if (['start', 'die', 'restart'].includes(action)) told.push(action);
  assert.deepEqual(told, ['start', 'die', 'restart', 'start', 'die', 'restart', 'start', 'die']);
  // The next start counts anew.
  await startContainer(lab.engine, id, detached);
  await until(() => stateOf(lab, id) === 'exited', 20_000, 'it ended for good');
  assert.equal((await inspect(lab, id)).RestartCount, 2);
  await removeContainer(lab.engine, id);
  assert.deepEqual(await lab.leftovers(), []);
});

test('from always to no and back: what holds at an end is what was said last', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000'], { restart: always, name: 'web' });
  assert.ok(await killOnce(lab, id));
  await change(lab, id, no);
  assert.equal(await killOnce(lab, id), undefined);
  assert.equal(readExit(lab.at(id))?.code, 137);
  assert.equal(summaryOf(lab, id)?.restartPolicy, undefined);
  // Its record says so to the next start, and so does a new name.
  await renameContainer(lab.engine, id, 'other');
  await startContainer(lab.engine, id, detached);
  assert.equal(await policyOf(lab, id), 'no');
  assert.equal(await killOnce(lab, id), undefined);
  await change(lab, id, { policy: 'unless-stopped' });
  assert.equal(await policyOf(lab, id), 'unless-stopped');
  const clone = await cloneContainer(lab.engine, id);
  assert.equal(await policyOf(lab, clone.id), 'unless-stopped');
  await startContainer(lab.engine, id, detached);
  for (let run = 0; run < 2; run++) assert.ok(await killOnce(lab, id));
  await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
  assert.equal(stateOf(lab, id), 'exited');
  assert.deepEqual(
    (await startable(lab.engine)).map((container) => container.id),
    [clone.id],
    'stopped: no boot starts it',
  );
});

test('a policy taken away while it waits for its next start: there is none', { skip, timeout }, async () => {
  await using lab = new Lab();
  for (const first of [always, no]) {
    const { id } = await lab.detached(['sh', '-c', 'sleep 0.2; exit 1'], { restart: first });
    if (first === no) await change(lab, id, always);
    // Pauses grow: there is time.
    await until(() => read(lab.at(id, 'restarts')).includes('"count":2,"waiting":true'), 20_000, 'it waits');
    await change(lab, id, no);
    assert.equal((await waitContainer(lab.engine, id))?.code, 1);
    assert.equal((await inspect(lab, id)).RestartCount, 2);
  }
});

test('stop ends for good what is about to be started by another monitor', { skip, timeout }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 12; round++) {
    const { id } = await lab.detached(['sleep', '1000']);
    await change(lab, id, always);
    process.kill(summaryOf(lab, id)?.pid ?? 0, 'SIGKILL');
    await until(() => stateOf(lab, id) === 'restarting', 10_000, 'it waits for its next start');
    // From its pause into the new run.
    await sleep(round * 30);
    await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
    assert.equal(stateOf(lab, id), 'exited', `round ${round}`);
    await until(() => successors(id).length === 0, 10_000, 'nobody starts it');
    assert.equal(stateOf(lab, id), 'exited', `round ${round}, later`);
    await removeContainer(lab.engine, id);
  }
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'whoever is to start it again is killed: it starts again, or has ended; nobody holds it',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const seen = new Set<string>();
    for (let round = 0; round < 4; round++) {
      const { id } = await lab.detached(['sleep', '1000']);
      await change(lab, id, always);
      process.kill(summaryOf(lab, id)?.pid ?? 0, 'SIGKILL');
      await until(() => successors(id).length > 0, 10_000, 'somebody is to start it');
      await sleep(round * 35);
      for (const pid of successors(id)) process.kill(pid, 'SIGKILL');
      const isSettled = (): boolean =>
        stateOf(lab, id) === 'running'
          ? isAlive(summaryOf(lab, id)?.pid ?? 0)
          : readLifeState(lab.at(id))?.held === false;
      await until(isSettled, 20_000, 'it is one or the other');
      await reconcileAll(lab.engine);
      const state = stateOf(lab, id) ?? '';
      seen.add(state);
      assert.ok(['running', 'exited'].includes(state), state);
      assert.equal(readExit(lab.at(id))?.code, 137);
      // Killed before it had the lock: its monitor tried again.
      if (round === 0) assert.equal(state, 'running');
      await removeContainer(lab.engine, id, { force: true });
    }
    assert.ok(seen.has('running'), [...seen].join(' '));
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'tare update killed -9 at any moment: the policy that is shown is the one in force',
  { skip, timeout },
  async () => {
    await using lab = new Lab();
    const seen = new Set<string>();
    for (let round = 0; round < 14; round++) {
      const from = round % 2 === 0 ? 'no' : 'always';
      const to = from === 'no' ? 'always' : 'no';
      const { id } = await lab.detached(['sleep', '1000'], { restart: { policy: from } });
      const child = lab.startTare(['update', '--restart', to, id]);
      const ended = outcome(child);
      await sleep(30 + round * 8);
      child.kill('SIGKILL');
      await ended;
      const policy = await policyOf(lab, id);
      seen.add(policy === from ? 'old' : 'new');
      assert.ok([from, to].includes(policy), policy);
      assert.equal((await killOnce(lab, id)) !== undefined, policy === 'always', `${from} to ${to} is ${policy}`);
      await removeContainer(lab.engine, id, { force: true });
    }
    assert.ok(seen.has('old'), [...seen].join(' '));
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('several at once: one of them was the last', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000']);
  const wanted: RestartPolicy[] = [always, no, { policy: 'on-failure', maxRetries: 3 }, { policy: 'unless-stopped' }];
  await Promise.all(wanted.map((restart) => updateContainer(lab.anotherEngine(), id, { restart })));
  const policy = await policyOf(lab, id);
  assert.ok(wanted.some((restart) => restart.policy === policy));
  assert.equal((await killOnce(lab, id)) !== undefined, policy !== 'no');
});

test('one that is initialized, and one that is attached to', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await createContainer(lab.engine, { source: lab.source, argv: ['sleep', '1000'] });
  await initializeContainer(lab.engine, id);
  await change(lab, id, always);
  const client = outcome(lab.startTare(['start', '-a', id]));
  await until(() => stateOf(lab, id) === 'running', 10_000, 'it runs');
  assert.ok(await killOnce(lab, id));
  // The monitor it is attached to starts it no more.
  assert.deepEqual([(await client).code, (await client).stderr], [137, '']);
  assert.ok(await killOnce(lab, id));
  await killContainer(lab.engine, id, 'KILL');
  await until(() => stateOf(lab, id) === 'exited', 10_000, 'it ended for good');
});

test('what has no meaning is refused; limits and policy in one go', { skip, timeout }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000']);
  const files = (): string[] => readdirSync(lab.at(id)).filter((name) => name !== 'change');
  const before = files();
  await assert.rejects(
    change(lab, id, { policy: 'always', maxRetries: 2 }),
    clear('invalid', /only on-failure counts restarts, not always/),
  );
  await assert.rejects(
    change(lab, id, { policy: 'often' as 'always' }),
    clear('invalid', /often is no restart policy/),
  );
  assert.deepEqual(files(), before);
  const thrownAway = await lab.detached(['sleep', '1000'], { autoRemove: true });
  await assert.rejects(change(lab, thrownAway.id, always), clear('invalid', /removed when it has ended \(--rm\)/));
  await change(lab, thrownAway.id, no);
  const { code, stderr } = await lab.tare('update', '--restart', 'sometimes', id);
  assert.equal(code, 125);
  assert.match(stderr, /Cannot use --restart sometimes/);
  assert.equal((await lab.tare('update', '--restart', 'on-failure:4', '--pids-limit', '33', id)).code, 0);
  const { HostConfig } = (await inspect(lab, id)) as Inspected & { HostConfig: Record<string, unknown> };
  assert.deepEqual(HostConfig.RestartPolicy, { Name: 'on-failure', MaximumRetryCount: 4 });
  assert.equal(HostConfig['PidsLimit'], 33);
  assert.equal(statSync(lab.at(id, 'policy')).mode & 0o777, 0o600);
  assert.equal(existsSync(lab.at(id, 'policy.next')), false);
});
