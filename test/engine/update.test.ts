/** Limits that change while a container runs and hold when it starts again. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  createContainer,
  inspectContainer,
  restartContainer,
  startContainer,
  stopContainer,
  updateContainer,
} from '../../src/engine/mod.ts';
import { isKind } from '../../src/base/errors.ts';
import { cgroupStats, locateCgroup, readCgroupHost } from '../../src/runtime/cgroup/mod.ts';
import { needs } from '../support/needs.ts';
import { canRun, clear, hasCgroups, hasController, Lab, outcome, read } from './lab.ts';

const host = readCgroupHost();
const controllers = host.hierarchies.flatMap((hierarchy) => hierarchy.controllers);
const skip =
  canRun ||
  hasCgroups ||
  needs.root() ||
  (['memory', 'pids', 'cpu'].every((name) => controllers.includes(name)) ? false : 'needs cgroup controllers');
const MIB = 1024 ** 2;

const limitsIn = (lab: Lab, id: string): readonly (number | undefined)[] => {
  const { memory, pids } = cgroupStats(locateCgroup(host, `${lab.cgroupParent}/${id}`));
  return [memory?.limitBytes, pids?.limit];
};
const hostConfig = async (lab: Lab, id: string): Promise<Readonly<Record<string, unknown>>> =>
  ((await inspectContainer(lab.engine, id)) as { HostConfig: Record<string, unknown> }).HostConfig;
/** A cgroup file of v1, or "". */
const fileIn = (lab: Lab, id: string, controller: string, file: string): string => {
  const place = locateCgroup(host, `${lab.cgroupParent}/${id}`);
  return read(join(place.root, place.controllers[controller] ?? '', file)).trim();
};

test('updateContainer: a running container has the new limits at once, and after a restart', { skip }, async () => {
  await using lab = new Lab();
  const resources = { memoryBytes: 64 * MIB };
  const { id } = await lab.detached(['sleep', '1000'], { resources });
  assert.deepEqual(limitsIn(lab, id), [64 * MIB, 2048]);
  // Both grow, past the old limit of memory and swap; then both shrink.
  for (const size of [256, 48, 300]) {
    const memory = { memoryBytes: size * MIB, memorySwapBytes: (size + 10) * MIB };
    await updateContainer(lab.engine, id, { resources: { ...memory, pidsLimit: size, cpus: 0.5 } });
    assert.deepEqual(limitsIn(lab, id), [size * MIB, size]);
  }
  const seen = await hostConfig(lab, id);
  assert.deepEqual(
    [seen['Memory'], seen['MemorySwap'], seen['PidsLimit'], seen['NanoCpus']],
    [300 * MIB, 310 * MIB, 300, 5e8],
  );
  if (fileIn(lab, id, 'cpu', 'cpu.cfs_quota_us') !== '')
    assert.equal(fileIn(lab, id, 'cpu', 'cpu.cfs_quota_us'), '50000');
  await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
  assert.deepEqual(limitsIn(lab, id), [300 * MIB, 300]);
  await updateContainer(lab.engine, id, { resources: { memoryBytes: -1, pidsLimit: -1, cpus: 0 } });
  assert.deepEqual(limitsIn(lab, id), [undefined, undefined]);
  if (fileIn(lab, id, 'cpu', 'cpu.cfs_quota_us') !== '') assert.equal(fileIn(lab, id, 'cpu', 'cpu.cfs_quota_us'), '-1');
  await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
  assert.deepEqual(limitsIn(lab, id), [undefined, undefined]);
});

const needsCpuset = skip || hasController('cpuset');

test(
  'updateContainer: what the kernel refuses changes nothing, in the cgroup or in the record',
  { skip: needsCpuset },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sleep', '1000'], { resources: { memoryBytes: 64 * MIB } });
    const before = await hostConfig(lab, id);
    const limits = limitsIn(lab, id);
    await assert.rejects(
      updateContainer(lab.engine, id, { resources: { memoryBytes: 32 * MIB, pidsLimit: 9, cpusetCpus: '4000' } }),
      (error) => error instanceof Error && /choice of CPUs.*nothing was changed/.test(error.message),
    );
    assert.deepEqual(limitsIn(lab, id), limits);
    assert.deepEqual(await hostConfig(lab, id), before);
    const refused = clear('invalid', /memory plus swap is limited to/);
    await assert.rejects(updateContainer(lab.engine, id, { resources: { memoryBytes: 500 * MIB } }), refused);
    const tooSmall = clear('invalid', /at least 512k/);
    await assert.rejects(updateContainer(lab.engine, id, { resources: { memoryBytes: 5 } }), tooSmall);
    assert.deepEqual(await hostConfig(lab, id), before);
  },
);

test(
  'updateContainer: one that does not run starts with the new limits, also when both happen at once',
  { skip },
  async () => {
    await using lab = new Lab();
    const { id } = await createContainer(lab.engine, { source: lab.source, argv: ['sleep', '1000'] });
    await updateContainer(lab.engine, id, { resources: { memoryBytes: 80 * MIB } });
    for (let round = 1; round <= 6; round++) {
      const starting = outcome(lab.startTare(['start', id]));
      const updating = outcome(lab.startTare(['update', '--pids-limit', String(100 + round), id]));
      const [started, updated] = await Promise.all([starting, updating]);
      assert.equal(updated.code, 0, updated.stderr);
      // The update may have it for a moment, as somebody who starts it has.
      if (started.code !== 0) {
        assert.match(started.stderr, /another process/);
        await startContainer(lab.engine, id, { attach: false, stdin: false });
      }
      assert.deepEqual(limitsIn(lab, id), [80 * MIB, 100 + round]);
      await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
    }
  },
);

test('updateContainer: many at once take turns, and none is lost', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000']);
  const changes = [
    { pidsLimit: 55 },
    { memoryBytes: 90 * MIB },
    { cpuShares: 512 },
    { blkioWeight: 200 },
    { cpuQuotaUs: 50_000 },
  ];
  await Promise.all(
    changes.map((resources) =>
      updateContainer(lab.anotherEngine(), id, { resources }).catch((error: unknown) => {
        if (!isKind(error, 'unsupported')) throw error;
      }),
    ),
  );
  const seen = await hostConfig(lab, id);
  assert.deepEqual(
    [seen['PidsLimit'], seen['Memory'], seen['CpuShares'], seen['CpuQuota']],
    [55, 90 * MIB, 512, 50_000],
  );
});

test('tare update, killed at any moment: the records can be read, and the next update holds', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000'], { name: 'box' });
  for (let round = 1; round <= 15; round++) {
    const updating = lab.startTare(['update', '--pids-limit', String(100 + round), 'box']);
    setTimeout(() => updating.kill('SIGKILL'), 25 + round * 4);
    await outcome(updating);
    const recorded = (await hostConfig(lab, id))['PidsLimit'];
    assert.ok(typeof recorded === 'number' && recorded <= 2048);
    assert.ok((limitsIn(lab, id)[1] ?? 0) > 100);
  }
  await updateContainer(lab.engine, 'box', { resources: { pidsLimit: 99 } });
  assert.deepEqual([limitsIn(lab, id)[1], (await hostConfig(lab, id))['PidsLimit']], [99, 99]);
});
