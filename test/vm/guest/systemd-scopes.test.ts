/** Containers in scopes of the machine's systemd, as root: runs inside the virtual machine, see ../machine.test.ts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { cgroupHost } from '../../../src/engine/cgroups.ts';
import {
  createPod,
  engineInfo,
  inspectContainer,
  listContainers,
  pauseContainer,
  reconcileAll,
  removeContainer,
  removePod,
  restartContainer,
  startContainer,
  startPod,
  stopContainer,
  stopPod,
  unpauseContainer,
  updateContainer,
} from '../../../src/engine/mod.ts';
import { open } from '../../../src/mod.ts';
import { readRecord } from '../../../src/engine/record.ts';
import { readExit } from '../../../src/runtime/state.ts';
import { canRun, isAlive, Lab, read, until } from '../../engine/lab.ts';

const skip =
  canRun ||
  (cgroupHost().mode !== 'v2' ? `cannot here: cgroups are ${cgroupHost().mode}, not v2` : false) ||
  (existsSync('/run/systemd/private') ? false : 'needs systemd');
const WAIT_MS = 60_000;
const idle = ['sleep', '1000'];

const systemctl = (...args: string[]): string => execFileSync('systemctl', args, { encoding: 'utf8' }).trim();
/** Also failed ones, and such as are only loaded. */
const scopes = (): string => systemctl('list-units', '--all', '--plain', '--no-legend', 'tare-*.scope');
const unitOf = (id: string): string => `tare-${id}.scope`;
const property = (id: string, name: string): string => systemctl('show', '-P', name, unitOf(id));

/** A lab whose containers' cgroups are scopes. */
function scopeLab(): Lab {
  return new Lab(undefined, { systemd: true });
}
const file = (lab: Lab, id: string, name: string): string =>
  read(`/sys/fs/cgroup${lab.cgroupParent}/${unitOf(id)}/container/${name}`).trim();

async function nothingLeft(lab: Lab): Promise<void> {
  for (const { id } of listContainers(lab.engine)) await removeContainer(lab.engine, id, { force: true });
  assert.deepEqual(await lab.leftovers(WAIT_MS), []);
  await until(() => scopes() === '', WAIT_MS, 'no scope is left');
}

test(
  'a scope of systemd: limits in the delegated cgroup hold, also after a reload and an update',
  { skip },
  async () => {
    await using lab = scopeLab();
    const { id, name, warnings } = await lab.detached(idle, {
      resources: { memoryBytes: 64 * 2 ** 20, cpus: 0.5, pidsLimit: 33, cpusetCpus: '1' },
    });
    assert.deepEqual(warnings, []);
    const limits = (): string[] => ['memory.max', 'cpu.max', 'pids.max', 'cpuset.cpus'].map((at) => file(lab, id, at));
    const before = [`${64 * 2 ** 20}`, '50000 100000', '33', '1'];
    assert.deepEqual(limits(), before);
    const scope = `${lab.cgroupParent}/${unitOf(id)}`;
    assert.deepEqual(
      ['ControlGroup', 'Slice', 'Delegate', 'TasksMax', 'Description'].map((at) => property(id, at)),
      [scope, lab.cgroupParent.slice(1), 'yes', 'infinity', `Tare container ${name}`],
    );
    systemctl('daemon-reload');
    assert.deepEqual(limits(), before);
    await updateContainer(lab.engine, id, { resources: { memoryBytes: 96 * 2 ** 20 } });
    systemctl('daemon-reload');
    assert.deepEqual(limits(), [`${96 * 2 ** 20}`, ...before.slice(1)]);
    assert.equal(readRecord(lab.engine, id).cgroupPath, `${scope}/container`);
    const monitor = lab.monitorOf(id);
    assert.equal(read(`/proc/${monitor}/cgroup`).trim(), `0::${scope}/monitor`);
    await nothingLeft(lab);
  },
);

test(
  'a pod is a slice of systemd with its limits, which hold after a reload; its end is the slice’s',
  { skip },
  async () => {
    await using lab = scopeLab();
    const resources = { memoryBytes: 96 * 2 ** 20, cpus: 0.5, pidsLimit: 50 };
    const { id, warnings } = await createPod(lab.engine, { name: 'p', resources });
    assert.deepEqual(warnings, []);
    const slice = `${lab.cgroupParent.slice(1).replace(/\.slice$/, '')}-tare_pod_${id}.slice`;
    const { id: member } = await lab.detached(idle, { pod: 'p', resources: { memoryBytes: 64 * 2 ** 20 } });
    const limits = (): string[] =>
      ['memory.max', 'cpu.max', 'pids.max'].map((at) =>
        read(`/sys/fs/cgroup${lab.cgroupParent}/${slice}/${at}`).trim(),
      );
    const expected = [`${96 * 2 ** 20}`, '50000 100000', '50'];
    assert.deepEqual(limits(), expected);
    systemctl('daemon-reload');
    assert.deepEqual(limits(), expected);
    for (const one of [id, member]) assert.equal(property(one, 'Slice'), slice);
    assert.equal(
      read(`/sys/fs/cgroup${readRecord(lab.engine, member).cgroupPath}/memory.max`).trim(),
      `${64 * 2 ** 20}`,
    );
    await stopPod(lab.engine, 'p', { timeoutSeconds: 0 });
    await startPod(lab.engine, 'p');
    assert.deepEqual(limits(), expected);
    await removePod(lab.engine, 'p', { force: true });
    const slices = (): string => systemctl('list-units', '--all', '--plain', '--no-legend', '*tare_pod_*');
    await until(() => slices() === '', WAIT_MS, 'no slice is left');
    await nothingLeft(lab);
  },
);

test('a scope of systemd: the pids limit and the memory limit are enforced', { skip }, async () => {
  await using lab = scopeLab();
  const forks = 'for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all';
  assert.match(await lab.sh(forks, { resources: { pidsLimit: 5 } }), /can't fork|Resource temporarily unavailable/);
  const { exit } = await lab.run(['tail', '/dev/zero'], {
    resources: { memoryBytes: 32 * 2 ** 20, memorySwapBytes: 32 * 2 ** 20 },
  });
  assert.deepEqual({ code: exit.code, oom: exit.oom }, { code: 137, oom: true });
  await nothingLeft(lab);
});

test('a scope of systemd: exec, pause, stats, top and inspect find the cgroup', { skip }, async () => {
  await using lab = scopeLab();
  const { id } = await lab.detached(idle, { resources: { pidsLimit: 12, memoryBytes: 64 * 2 ** 20 } });
  const inside = await lab.tare('exec', id, 'sh', '-c', 'cat /proc/self/cgroup /sys/fs/cgroup/pids.max');
  assert.equal(inside.stdout, '0::/\n12\n', inside.stderr);
  await pauseContainer(lab.engine, id);
  assert.equal(listContainers(lab.engine)[0]?.state, 'paused');
  assert.match(file(lab, id, 'cgroup.events'), /frozen 1/);
  await unpauseContainer(lab.engine, id);
  assert.match(
    (await lab.tare('stats', '--no-stream', '--format', '{{.MemUsage}} {{.PIDs}}', id)).stdout,
    /\/ 64MiB 1$/m,
  );
  assert.match((await lab.tare('top', id, 'args')).stdout, /sleep 1000/);
  const { HostConfig } = (await inspectContainer(lab.engine, id)) as { HostConfig: Record<string, unknown> };
  assert.deepEqual(
    [HostConfig['CgroupManager'], HostConfig['CgroupPath']],
    ['systemd', `${lab.cgroupParent}/${unitOf(id)}/container`],
  );
  const { host } = await engineInfo(lab.engine);
  assert.deepEqual([host.cgroupManager, host.cgroupManagerReason], ['systemd', 'it was asked for']);
  assert.deepEqual([...host.cgroupControllers].sort(), ['cpu', 'cpuset', 'io', 'memory', 'pids']);
  await nothingLeft(lab);
});

test('a scope of systemd: stop ends it, start and restart make it anew', { skip }, async () => {
  await using lab = scopeLab();
  const { id } = await lab.detached(idle, { resources: { pidsLimit: 44 } });
  await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
  await until(() => scopes() === '', WAIT_MS, 'the scope is gone');
  await startContainer(lab.engine, id, { attach: false, stdin: false });
  assert.equal(file(lab, id, 'pids.max'), '44');
  await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
  assert.equal(file(lab, id, 'pids.max'), '44');
  assert.equal(property(id, 'ActiveState'), 'active');
  await nothingLeft(lab);
});

test(
  'a scope of systemd: one that removes itself is restarted while its last monitor still cleans up',
  { skip },
  async () => {
    await using lab = scopeLab();
    const { id } = await lab.detached(idle, { autoRemove: true, resources: { pidsLimit: 45 } });
    for (let round = 0; round < 3; round++) await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
    assert.equal(file(lab, id, 'pids.max'), '45');
    assert.equal(property(id, 'ActiveState'), 'active');
    await nothingLeft(lab);
  },
);

test('a scope of systemd: it lives on between two runs of a restart policy', { skip }, async () => {
  await using lab = scopeLab();
  const { id } = await lab.detached(['sh', '-c', 'cat /sys/fs/cgroup/pids.max; exit 3'], {
    restart: { policy: 'always' },
    resources: { pidsLimit: 46 },
  });
  const invocation = property(id, 'InvocationID');
  await until(() => read(lab.at(id, 'restarts')).includes('"count":3'), WAIT_MS, 'it ran four times');
  assert.equal(property(id, 'InvocationID'), invocation);
  assert.match(read(lab.at(id, 'ctr.log')), /^(?:\S+ stdout F 46\n){3}/);
  await nothingLeft(lab);
});

test('a scope of systemd: a policy that comes after the start hands it over to a next monitor', { skip }, async () => {
  await using lab = scopeLab();
  const { id } = await lab.detached(idle, { resources: { pidsLimit: 48 } });
  const first = lab.monitorOf(id);
  await updateContainer(lab.engine, id, { restart: { policy: 'always' } });
  const running = (): number | undefined => listContainers(lab.engine).find(({ state }) => state === 'running')?.pid;
  for (let run = 0; run < 2; run++) {
    const pid = running() ?? 0;
    assert.ok(pid > 1);
    process.kill(pid, 'SIGKILL');
    await until(() => ![undefined, pid].includes(running()), WAIT_MS, 'it runs again');
    assert.equal(file(lab, id, 'pids.max'), '48');
    assert.equal(property(id, 'ActiveState'), 'active');
  }
  const next = lab.monitorOf(id);
  assert.notEqual(next, first);
  await until(() => !isAlive(first), WAIT_MS, 'the first monitor has left');
  const scope = `${lab.cgroupParent}/${unitOf(id)}`;
  assert.equal(read(`/proc/${next}/cgroup`).trim(), `0::${scope}/monitor`);
  assert.deepEqual(file(lab, id, 'cgroup.procs').split('\n'), [String(running())]);
  await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
  await until(() => scopes() === '', WAIT_MS, 'the scope ends with it');
  await nothingLeft(lab);
});

test('a scope of systemd: systemctl stop is a stop, with an exit code and without a next run', { skip }, async () => {
  await using lab = scopeLab();
  const { id } = await lab.detached(['sh', '-c', 'trap "exit 7" TERM; echo; while :; do sleep 0.1; done'], {
    restart: { policy: 'always' },
  });
  await until(() => read(lab.at(id, 'ctr.log')) !== '', WAIT_MS, 'its handler is set');
  systemctl('stop', unitOf(id));
  const [summary] = listContainers(lab.engine);
  assert.deepEqual([summary?.state, summary?.exitCode], ['exited', 7]);
  // No user stopped it: a boot starts it again.
  assert.equal(readExit(lab.at(id))?.stopped, undefined);
  await nothingLeft(lab);
});

test('a scope of systemd: whoever is killed, the next command cleans up', { skip }, async () => {
  await using lab = scopeLab();
  const { id } = await lab.detached(['sh', '-c', 'setsid sleep 1000 & exec sleep 1000']);
  const monitor = lab.monitorOf(id);
  process.kill(monitor, 'SIGKILL');
  await until(() => !isAlive(monitor), WAIT_MS, 'the monitor is dead');
  await reconcileAll(lab.engine);
  assert.equal(listContainers(lab.engine)[0]?.state, 'exited');
  await startContainer(lab.engine, id, { attach: false, stdin: false });
  assert.equal(property(id, 'ActiveState'), 'active');
  await removeContainer(lab.engine, id, { force: true });
  // A start that dies: before, while and after systemd makes the scope.
  for (let round = 0; round < 8; round++) {
    const child = lab.startTare(['run', '--rm', lab.source, 'sleep', '0.1']);
    await sleep(500 + round * 150);
    child.kill('SIGKILL');
  }
  await until(() => lab.processes().length === 0, WAIT_MS, 'what they left has ended');
  await reconcileAll(lab.engine);
  await nothingLeft(lab);
});

test('a scope of systemd: a start that fails leaves no unit, also none that failed', { skip }, async () => {
  await using lab = scopeLab();
  const missing = await lab.tare('run', '--rm', lab.source, '/missing');
  assert.equal(missing.code, 127, missing.stderr);
  const refused = await lab.tare('run', '--rm', '--cpuset-cpus', '77', lab.source, 'true');
  assert.equal(refused.code, 125, refused.stderr);
  const path = await lab.tare('--cgroup-parent', '/tare', 'run', '--rm', lab.source, 'true');
  assert.deepEqual(
    [path.code, path.stderr],
    [
      125,
      'Error: Cannot use cgroup parent /tare with systemd: it is not the name of a slice, like machine.slice or ci-builds.slice\n',
    ],
  );
  await nothingLeft(lab);
});

test('open: cgroupManager gives a program scopes of systemd', { skip }, async () => {
  await using lab = scopeLab();
  const { root, runRoot, storageRoot, storageRunRoot } = lab.engine;
  const slice = lab.cgroupParent.slice(1);
  {
    await using tare = await open({
      root,
      runRoot,
      storageRoot,
      storageRunRoot,
      cgroupManager: 'systemd',
      cgroupParent: slice,
    });
    await using box = await tare.run(lab.source, idle, { resources: { pidsLimit: 47 } });
    assert.deepEqual([property(box.id, 'ActiveState'), property(box.id, 'Slice')], ['active', slice]);
    assert.equal(file(lab, box.id, 'pids.max'), '47');
    assert.equal((await tare.info()).host.cgroupManager, 'systemd');
  }
  await nothingLeft(lab);
});
