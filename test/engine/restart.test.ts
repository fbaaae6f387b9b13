/** Stop and start in one: also of what would remove itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  listContainers,
  removeContainer,
  restartContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from '../../src/engine/mod.ts';
import { readExit, readLifeState } from '../../src/runtime/state.ts';
import { canRun, clear, Lab, outcome, read, until } from './lab.ts';

const skip = canRun;
const service = ['sh', '-c', 'trap "exit 5" TERM; while :; do sleep 0.01; done'];

test(
  'restartContainer: a running one ends by its stop signal and runs again; an ended one is started',
  { skip },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(service, { name: 'web' });
    const pid = listContainers(lab.engine)[0]?.pid;
    // Its handler of SIGTERM is set.
    await until(
      () => (/^SigCgt:\t[0-9a-f]+[4-7c-f][0-9a-f]{3}$/m.exec(read(`/proc/${pid}/status`))?.length ?? 0) > 0,
      10_000,
      'it handles SIGTERM',
    );
    await restartContainer(lab.engine, 'web', { timeoutSeconds: 30 });
    const [now] = listContainers(lab.engine);
    assert.equal(now?.state, 'running');
    assert.notEqual(now?.pid, pid);
    assert.equal(readExit(lab.at(id))?.code, 5);
    await stopContainer(lab.engine, 'web', { timeoutSeconds: 0 });
    await restartContainer(lab.engine, 'web');
    assert.equal(listContainers(lab.engine)[0]?.state, 'running');
    await assert.rejects(restartContainer(lab.engine, 'nobody'), clear('not-found', /no such container/));
  },
);

test(
  'tare stop: ends with the run it stopped, also when the next one starts before it has heard of that',
  { skip },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached([
      'sh',
      '-c',
      'trap "echo stopping; sleep 0.5; exit 5" TERM; echo ready; while :; do sleep 0.01; done',
    ]);
    const printed = (word: string): Promise<void> =>
      until(() => read(lab.at(id, 'ctr.log')).includes(word), 10_000, word);
    await printed('ready');
    const child = lab.startTare(['stop', id]);
    const stopped = outcome(child);
    await printed('stopping');
    child.kill('SIGSTOP');
    await until(() => readLifeState(lab.at(id))?.held === false, 10_000, 'it has ended');
    await startContainer(lab.engine, id, { attach: false, stdin: false });
    child.kill('SIGCONT');
    assert.deepEqual(await stopped, { code: 0, stdout: `${id}\n`, stderr: '' });
    assert.equal(listContainers(lab.engine)[0]?.state, 'running');
    assert.equal(readExit(lab.at(id))?.code, 5);
  },
);

test('restartContainer: one that removes itself stays, and is removed when it ends for good', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(service, { autoRemove: true });
  for (let round = 0; round < 3; round++) {
    await restartContainer(lab.engine, id, { timeoutSeconds: 30 });
    assert.equal(listContainers(lab.engine)[0]?.state, 'running');
  }
  await stopContainer(lab.engine, id, { timeoutSeconds: 0, untilRemoved: true });
  assert.deepEqual(await lab.leftovers(), []);
});

test('restartContainer: the client of tare run --rm sees the end, and the container goes on', { skip }, async () => {
  await using lab = new Lab();
  const client = outcome(lab.startTare(['run', '--rm', '--name', 'kept', `--rootfs=${lab.rootfs}:O`, ...service]));
  await until(() => listContainers(lab.engine)[0]?.state === 'running', 10_000, 'it runs');
  await restartContainer(lab.engine, 'kept', { timeoutSeconds: 0 });
  assert.equal((await client).code, 137);
  assert.equal(listContainers(lab.engine)[0]?.state, 'running');
  await removeContainer(lab.engine, 'kept', { force: true });
  assert.deepEqual(await lab.leftovers(), []);
});

test('restartContainer: many at once take turns', { skip }, async () => {
  await using lab = new Lab();
  for (const autoRemove of [false, true]) {
    const { id } = await lab.detached(service, { autoRemove });
    await Promise.all([1, 2, 3].map(() => restartContainer(lab.anotherEngine(), id, { timeoutSeconds: 0 })));
    assert.equal(listContainers(lab.engine)[0]?.state, 'running');
    await removeContainer(lab.engine, id, { force: true });
  }
  assert.deepEqual(await lab.leftovers(), []);
});

test('tare restart, killed at any moment: the container runs or has ended, and --rm holds', { skip }, async () => {
  await using lab = new Lab();
  for (const rm of [false, true]) {
    for (let round = 0; round < 10; round++) {
      const { id } = await lab.detached(service, { autoRemove: rm });
      const restarting = lab.startTare(['restart', '-t', '0', id]);
      setTimeout(() => restarting.kill('SIGKILL'), 30 + round * 12);
      await outcome(restarting);
      // What any next command does.
      assert.equal((await lab.tare('ps', '-a')).code, 0);
      const [left] = listContainers(lab.engine);
      if (left?.state === 'exited') assert.equal((await waitContainer(lab.engine, id))?.code, 137);
      assert.ok(left === undefined ? rm : ['running', 'exited', 'created'].includes(left.state), left?.state ?? '');
      await removeContainer(lab.engine, id, { force: true }).catch(() => assert.ok(rm));
      assert.deepEqual(await lab.leftovers(), [], `round ${round}`);
    }
  }
});
