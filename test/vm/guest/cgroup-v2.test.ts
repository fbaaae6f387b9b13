/** On a host with nothing but cgroup v2, kernel 6.1 and systemd: runs inside the virtual machine, see ../machine.test.ts. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { cgroupHost, containerCgroup } from '../../../src/engine/cgroups.ts';
import { killContainer, listContainers, removeContainer } from '../../../src/engine/mod.ts';
import { cgroupStats, freezeCgroup, isCgroupFrozen, thawCgroup } from '../../../src/runtime/cgroup/mod.ts';
import { canRun, isAlive, Lab, read, until } from '../../engine/lab.ts';

const skip = canRun || (cgroupHost().mode === 'v2' ? false : `cannot here: cgroups are ${cgroupHost().mode}, not v2`);
const WAIT_MS = 60_000;

/** "0::/path" of a process. */
const cgroupOf = (pid: number | 'self'): string => read(`/proc/${pid}/cgroup`).trim();

test('limits are the files of the cgroup: memory, cpu, pids, cpuset', { skip }, async () => {
  await using lab = new Lab();
  const { id, warnings } = await lab.detached(['sleep', '1000'], {
    resources: {
      memoryBytes: 64 * 2 ** 20,
      memorySwapBytes: 96 * 2 ** 20,
      memoryReservationBytes: 32 * 2 ** 20,
      cpus: 0.5,
      cpuShares: 512,
      cpusetCpus: '1',
      pidsLimit: 33,
    },
  });
  assert.deepEqual(warnings, []);
  const file = (name: string): string => read(`/sys/fs/cgroup${lab.cgroupParent}/${id}/${name}`).trim();
  assert.deepEqual(['memory.max', 'memory.swap.max', 'memory.low', 'cpu.max', 'cpuset.cpus', 'pids.max'].map(file), [
    `${64 * 2 ** 20}`,
    `${32 * 2 ** 20}`,
    `${32 * 2 ** 20}`,
    '50000 100000',
    '1',
    '33',
  ]);
  const stats = cgroupStats(containerCgroup(lab.engine, id));
  assert.equal(stats.memory?.limitBytes, 64 * 2 ** 20);
  assert.ok((stats.memory?.usageBytes ?? 0) > 0);
  assert.deepEqual(stats.pids, { current: 1, limit: 33 });
  assert.ok((stats.cpu?.usageUsec ?? 0) > 0);
});

test('a container sees its limits and its own cgroup as the root', { skip }, async () => {
  await using lab = new Lab();
  const seen = await lab.sh('cat /proc/self/cgroup /sys/fs/cgroup/pids.max; nproc', {
    resources: { pidsLimit: 44, cpusetCpus: '0' },
  });
  assert.equal(seen, '0::/\n44\n1');
});

test('the pids limit holds', { skip }, async () => {
  await using lab = new Lab();
  const seen = await lab.sh('for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all', { resources: { pidsLimit: 5 } });
  assert.match(seen, /can't fork|Resource temporarily unavailable/);
});

test('device rules hold: what is made by mknod opens only when it is allowed', { skip }, async () => {
  await using lab = new Lab();
  const script = 'mknod /m c 1 1; mknod /z c 1 5; head -c1 /z | wc -c; head -c1 /dev/zero | wc -c; head -c1 /m';
  const seen = await lab.sh(script, { capAdd: ['MKNOD'] });
  assert.match(seen, /^1\n1\n.*\/m: Operation not permitted$/);
});

test('who is killed for want of memory is recorded so', { skip }, async () => {
  await using lab = new Lab();
  const { exit } = await lab.run(['tail', '/dev/zero'], {
    resources: { memoryBytes: 32 * 2 ** 20, memorySwapBytes: 32 * 2 ** 20 },
  });
  assert.deepEqual({ code: exit.code, oom: exit.oom }, { code: 137, oom: true });
});

test('what left the process group and its parent dies with the container, and nothing is left', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached([
    'sh',
    '-c',
    'setsid sleep 1000 & setsid sh -c "sleep 1000; true" & exec sleep 1000',
  ]);
  const procs = `/sys/fs/cgroup${lab.cgroupParent}/${id}/cgroup.procs`;
  await until(() => read(procs).split('\n').length > 4, WAIT_MS, 'all processes are there');
  const pids = read(procs).trim().split('\n').map(Number);
  await killContainer(lab.engine, id, 'KILL');
  await until(() => !pids.some(isAlive), WAIT_MS, 'they are dead');
  await removeContainer(lab.engine, id, { force: true });
  assert.deepEqual(await lab.leftovers(WAIT_MS), []);
});

test('a frozen container does not run, and runs again when it is thawed', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sh', '-c', 'while :; do :; done']);
  const plan = containerCgroup(lab.engine, id);
  const used = (): number => cgroupStats(plan).cpu?.usageUsec ?? 0;
  await freezeCgroup(plan, { timeoutMs: WAIT_MS });
  assert.equal(isCgroupFrozen(plan), true);
  const before = used();
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(used(), before);
  thawCgroup(plan);
  await until(() => used() > before, WAIT_MS, 'it runs again');
});

test('a process of exec is in the cgroup of its container', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000'], { resources: { pidsLimit: 12 } });
  const { stdout, stderr } = await lab.tare(
    'exec',
    id,
    'sh',
    '-c',
    'cat /proc/self/cgroup /sys/fs/cgroup/pids.current',
  );
  assert.match(stdout, /^0::\/\n[2-4]\n$/, stderr);
});

test('a monitor leaves the cgroup it was started in for one beside the containers', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000']);
  const monitor = lab.monitorOf(id);
  assert.equal(cgroupOf(monitor), `0::${lab.cgroupParent}/tare-monitors`);
  const [first] = listContainers(lab.engine);
  assert.equal(cgroupOf(first?.pid ?? 0), `0::${lab.cgroupParent}/${id}`);
  process.kill(monitor, 'SIGKILL');
  await until(() => !isAlive(monitor), WAIT_MS, 'the monitor is dead');
  await removeContainer(lab.engine, id, { force: true });
  assert.deepEqual(await lab.leftovers(WAIT_MS), []);
});

test('overlays work on this kernel: a throw-away layer over a directory', { skip }, async () => {
  await using lab = new Lab();
  assert.equal(await lab.sh('echo new > /data/one; rm /data/two; ls /data; cat /data/one'), 'below\none\nnew');
  assert.equal(readFileSync(`${lab.rootfs}/data/one`, 'utf8'), '1\n');
  assert.ok(existsSync(`${lab.rootfs}/data/two`));
});
