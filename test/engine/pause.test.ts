/** Containers that stand still: what the kernel says of them, and who may do what. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  attachContainer,
  execContainer,
  inspectContainer,
  killContainer,
  listContainers,
  pauseContainer,
  reconcile,
  removeContainer,
  restartContainer,
  startContainer,
  stopContainer,
  unpauseContainer,
  waitContainer,
} from '../../src/engine/mod.ts';
import { cgroupStats, locateCgroup, readCgroupHost } from '../../src/runtime/cgroup/mod.ts';
import { canRun, clear, hasCgroups, isAlive, Lab, outcome, until } from './lab.ts';

const skip = canRun || hasCgroups;
const busy = ['sh', '-c', 'trap "exit 5" TERM; trap "exit 6" HUP; while :; do :; done'];

const stateOf = (lab: Lab): string | undefined => listContainers(lab.engine)[0]?.state;
const usedUsec = (lab: Lab, id: string): number =>
  cgroupStats(locateCgroup(readCgroupHost(), `${lab.cgroupParent}/${id}`)).cpu?.usageUsec ?? 0;

test('pauseContainer: nothing of it runs until unpauseContainer; state and inspect say so', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(busy, { name: 'still' });
  await execContainer(lab.engine, id, { argv: ['sh', '-c', 'while :; do :; done'], detach: true }, 'detach');
  await until(() => usedUsec(lab, id) > 20_000, 10_000, 'it works');
  await pauseContainer(lab.engine, 'still');
  assert.equal(stateOf(lab), 'paused');
  const seen = (await inspectContainer(lab.engine, id)) as { readonly State: Readonly<Record<string, unknown>> };
  assert.deepEqual(
    [seen.State['Status'], seen.State['Running'], seen.State['Paused']],
    ['paused', true, true],
    "docker's words",
  );
  const used = usedUsec(lab, id);
  await sleep(100);
  assert.equal(usedUsec(lab, id), used);
  await assert.rejects(pauseContainer(lab.engine, id), clear('failed-precondition', /paused already/));

  const refused = clear('failed-precondition', /paused.*unpause still|paused; stop it first/);
  await assert.rejects(execContainer(lab.engine, id, { argv: ['true'] }, 'pipe'), refused);
  await assert.rejects(attachContainer(lab.engine, id, { stdin: false }), refused);
  await assert.rejects(startContainer(lab.engine, id, { attach: false, stdin: false }), refused);
  await assert.rejects(removeContainer(lab.engine, id), refused);

  await unpauseContainer(lab.engine, id);
  assert.equal(stateOf(lab), 'running');
  await until(() => usedUsec(lab, id) > used + 20_000, 10_000, 'it works again');
  await assert.rejects(unpauseContainer(lab.engine, id), clear('failed-precondition', /not paused/));
});

test('pauseContainer: what does not run cannot be paused', { skip }, async () => {
  await using lab = new Lab();
  await lab.detached(['true'], { name: 'done' });
  await waitContainer(lab.engine, 'done');
  await assert.rejects(pauseContainer(lab.engine, 'done'), clear('failed-precondition', /exited, not running/));
  await assert.rejects(unpauseContainer(lab.engine, 'done'), clear('failed-precondition', /exited, not running/));
  await assert.rejects(pauseContainer(lab.engine, 'nobody'), clear('not-found', /no such container/));
});

test('stop, kill, restart and rm --force of a paused container: its handler gets the signal', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(busy);
  const again = async (): Promise<void> => {
    if (stateOf(lab) === 'exited') await startContainer(lab.engine, id, { attach: false, stdin: false });
    await until(() => usedUsec(lab, id) > 20_000, 10_000, 'its handlers are set');
    await pauseContainer(lab.engine, id);
  };
  await again();
  await stopContainer(lab.engine, id, { timeoutSeconds: 30 });
  assert.equal((await waitContainer(lab.engine, id))?.code, 5);
  await again();
  await killContainer(lab.engine, id, 'TERM');
  assert.equal((await waitContainer(lab.engine, id))?.code, 5, "the container's own stop signal is to end it");
  await again();
  await killContainer(lab.engine, id, 'HUP');
  assert.equal(stateOf(lab), 'paused', 'any other signal waits');
  await unpauseContainer(lab.engine, id);
  assert.equal((await waitContainer(lab.engine, id))?.code, 6);
  await again();
  await killContainer(lab.engine, id, 'KILL');
  assert.equal((await waitContainer(lab.engine, id))?.code, 137);
  await again();
  await restartContainer(lab.engine, id, { timeoutSeconds: 30 });
  assert.equal(stateOf(lab), 'running');
  await again();
  await removeContainer(lab.engine, id, { force: true });
  assert.deepEqual(await lab.leftovers(), []);
});

test('a paused container whose monitor is killed is collected as any other', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(busy);
  await pauseContainer(lab.engine, id);
  const monitor = lab.monitorOf(id);
  process.kill(monitor, 'SIGKILL');
  await until(() => !isAlive(monitor), 5000, 'the monitor is dead');
  assert.equal(stateOf(lab), 'dead');
  await reconcile(lab.engine, id);
  assert.equal(stateOf(lab), 'exited');
  await removeContainer(lab.engine, id);
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'tare pause, killed at any moment: the state is what the kernel has, and unpause or nothing is to be done',
  { skip },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(busy);
    for (let round = 0; round < 12; round++) {
      const pausing = lab.startTare(['pause', id]);
      setTimeout(() => pausing.kill('SIGKILL'), 20 + round * 8);
      await outcome(pausing);
      const state = stateOf(lab);
      if (state === 'paused') await unpauseContainer(lab.engine, id);
      else assert.equal(state, 'running');
      const used = usedUsec(lab, id);
      await until(() => usedUsec(lab, id) > used, 10_000, 'it works');
    }
    await removeContainer(lab.engine, id, { force: true });
    assert.deepEqual(await lab.leftovers(), []);
  },
);
