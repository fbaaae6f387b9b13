import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import type { LinuxResources } from '../../spec/runtime-types.ts';
import { hybrid, v1InDocker, v1Systemd, v2Systemd } from './_host-texts.ts';
import { detectCgroups } from './host.ts';
import { locateCgroup, locateFreezer } from './locate.ts';
import { planCgroup } from './plan-cgroup.ts';
import type { CgroupPlan } from './plan.ts';

const onV1 = detectCgroups(v1Systemd);
const onV2 = detectCgroups(v2Systemd);
const onHybrid = detectCgroups(hybrid);
const open: LinuxResources = { devices: [{ allow: true }] };

/** The writes without the device rules and cpuset inheritance, as "file value". */
const lines = (plan: CgroupPlan): string[] =>
  plan.writes.filter((w) => w.copyOf === undefined && !w.file.includes('/devices.')).map((w) => `${w.file} ${w.value}`);
const plan = (host: typeof onV1, resources: LinuxResources): CgroupPlan =>
  planCgroup(host, { cgroupPath: '/tare/web', resources: { ...open, ...resources } });

test('planCgroup on v1 joins every hierarchy and prepares the cpuset before init enters', () => {
  const made = plan(onV1, {});
  assert.deepEqual(made.dirs.toSorted(), [
    'blkio/tare/web',
    'cpu,cpuacct/tare/web',
    'cpuset/tare/web',
    'devices/tare/web',
    'freezer/tare/web',
    'memory/tare/web',
    'net_cls,net_prio/tare/web',
    'pids/tare/web',
    'systemd/tare/web',
  ]);
  assert.deepEqual(made.tasks.toSorted(), made.dirs.map((dir) => `${dir}/tasks`).toSorted());
  assert.deepEqual(
    made.parentWrites.map((w) => [w.file, w.copyOf]),
    [
      ['cpuset/tare/cpuset.cpus', 'cpuset/cpuset.cpus'],
      ['cpuset/tare/cpuset.mems', 'cpuset/cpuset.mems'],
    ],
  );
  assert.deepEqual(
    made.writes.map((w) => [w.file, w.copyOf]),
    [
      ['cpuset/tare/web/cpuset.cpus', 'cpuset/tare/cpuset.cpus'],
      ['cpuset/tare/web/cpuset.mems', 'cpuset/tare/cpuset.mems'],
    ],
  );
  assert.equal(made.kill, '');
  assert.equal(made.unified, undefined);
  assert.equal(made.procs, 'freezer/tare/web/cgroup.procs');
  assert.equal(made.freezer, 'freezer/tare/web/freezer.state');
  assert.deepEqual(made.leave, ['systemd/tare/tasks']);
  assert.deepEqual(made.oom, { file: 'memory/tare/web/memory.oom_control', key: 'oom_kill' });
});

test('planCgroup on v2 is one directory, with the controllers passed down to it', () => {
  const made = plan(onV2, {});
  assert.deepEqual(made.parents, ['tare']);
  assert.equal(made.monitors, 'tare/tare-monitors');
  assert.deepEqual(made.leave, ['tare/tare-monitors/cgroup.procs']);
  assert.deepEqual(made.dirs, ['tare/web']);
  assert.equal(made.unified, 'tare/web');
  assert.equal(made.kill, 'tare/web/cgroup.kill');
  assert.deepEqual(made.tasks, []);
  assert.equal(made.freezer, '');
  assert.deepEqual(made.oom, { file: 'tare/web/memory.events', key: 'oom_kill' });
  assert.deepEqual(
    made.parentWrites.map((w) => `${w.file} ${w.value}`),
    [
      'cgroup.subtree_control +cpuset +cpu +io +memory +hugetlb +pids +rdma +misc',
      'tare/cgroup.subtree_control +cpuset +cpu +io +memory +hugetlb +pids +rdma +misc',
    ],
  );
});

test('planCgroup on hybrid limits on v1 and is born, killed and frozen on the unified tree', () => {
  const made = plan(onHybrid, { memory: { limit: 64 << 20 }, unified: { 'cgroup.max.descendants': '10' } });
  assert.equal(made.unified, 'unified/tare/web');
  assert.equal(made.kill, 'unified/tare/web/cgroup.kill');
  assert.equal(made.procs, 'unified/tare/web/cgroup.procs');
  assert.equal(made.oom?.file, 'memory/tare/web/memory.oom_control');
  assert.equal(made.tasks.length, 9);
  assert.deepEqual(lines(made), [
    'memory/tare/web/memory.limit_in_bytes 67108864',
    'unified/tare/web/cgroup.max.descendants 10',
  ]);
});

const everything: LinuxResources = {
  memory: { limit: 100 << 20, swap: 150 << 20, reservation: 50 << 20, swappiness: 10 },
  cpu: { shares: 512, quota: 50_000, period: 100_000, burst: 1000, cpus: '0-1', mems: '0' },
  pids: { limit: 64 },
  blockIO: {
    weight: 500,
    throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1024 }],
    throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 0 }],
  },
  hugepageLimits: [{ pageSize: '2MB', limit: 4 << 20 }],
};

test('planCgroup writes v1 limits in v1 files, memory before memory plus swap', () => {
  const { hugepageLimits: _, ...withoutHuge } = everything;
  assert.deepEqual(lines(plan(onV1, withoutHuge)), [
    'memory/tare/web/memory.limit_in_bytes 104857600',
    'memory/tare/web/memory.memsw.limit_in_bytes 157286400',
    'memory/tare/web/memory.soft_limit_in_bytes 52428800',
    'memory/tare/web/memory.swappiness 10',
    'cpu,cpuacct/tare/web/cpu.shares 512',
    'cpu,cpuacct/tare/web/cpu.cfs_period_us 100000',
    'cpu,cpuacct/tare/web/cpu.cfs_quota_us 50000',
    'cpu,cpuacct/tare/web/cpu.cfs_burst_us 1000',
    'cpuset/tare/web/cpuset.cpus 0-1',
    'cpuset/tare/web/cpuset.mems 0',
    'pids/tare/web/pids.max 64',
    'blkio/tare/web/blkio.weight 500',
    'blkio/tare/web/blkio.throttle.read_bps_device 8:0 1024',
    'blkio/tare/web/blkio.throttle.write_iops_device 8:0 0',
  ]);
});

test('planCgroup writes v2 limits in v2 units', () => {
  const made = plan(onV2, { ...everything, unified: { 'memory.high': '90000000' } });
  assert.deepEqual(lines(made), [
    'tare/web/memory.max 104857600',
    'tare/web/memory.swap.max 52428800',
    'tare/web/memory.low 52428800',
    'tare/web/cpu.weight 59',
    'tare/web/cpu.max 50000 100000',
    'tare/web/cpu.max.burst 1000',
    'tare/web/cpuset.cpus 0-1',
    'tare/web/cpuset.mems 0',
    'tare/web/pids.max 64',
    'tare/web/io.bfq.weight 500',
    'tare/web/io.max 8:0 rbps=1024 wiops=max',
    'tare/web/hugetlb.2MB.max 4194304',
    'tare/web/hugetlb.2MB.rsvd.max 4194304',
    'tare/web/memory.high 90000000',
  ]);
  assert.deepEqual(made.writes.find((w) => w.file.endsWith('bfq.weight'))?.orElse, {
    file: 'tare/web/io.weight',
    value: 'default 4950',
  });
  assert.match(made.warnings.join(), /swappiness has no effect/);
});

test('planCgroup leaves alone what is unlimited: -1 and 0 write nothing', () => {
  for (const host of [onV1, onV2]) {
    assert.deepEqual(
      lines(
        plan(host, {
          memory: { limit: -1, swap: -1, reservation: 0 },
          cpu: { quota: -1, shares: 0 },
          pids: { limit: -1 },
        }),
      ),
      [],
    );
  }
});

test('planCgroup applies device rules by v1 lines, by a program on v2, and where v1 cannot say it by a program on the unified tree', () => {
  const defaults = { cgroupPath: '/tare/web', resources: {} };
  const v1 = planCgroup(onV1, defaults);
  assert.equal(v1.devices, 'v1');
  assert.deepEqual(
    v1.writes.filter((w) => w.file.includes('/devices.')).map((w) => w.value),
    [
      'a',
      'c *:* m',
      'b *:* m',
      'c 1:3 rwm',
      'c 1:5 rwm',
      'c 1:7 rwm',
      'c 1:8 rwm',
      'c 1:9 rwm',
      'c 5:0 rwm',
      'c 5:2 rwm',
      'c 136:* rwm',
    ],
  );
  const v2 = planCgroup(onV2, defaults);
  assert.equal(v2.devices, 'bpf');
  assert.ok((v2.devicesBpf?.length ?? 0) > 100);
  const hole: LinuxResources = {
    devices: [
      { allow: true, type: 'c' },
      { allow: false, type: 'c', major: 10, minor: 200 },
    ],
  };
  assert.equal(planCgroup(onHybrid, { ...defaults, resources: hole }).devices, 'bpf');
  assert.throws(
    () => planCgroup(onV1, { ...defaults, resources: hole }),
    (error) => isKind(error, 'unsupported'),
  );
  assert.equal(plan(onV1, {}).devices, 'none');
});

test('planCgroup goes on without read-only hierarchies, but not without one that a limit needs', () => {
  const host = detectCgroups(v1InDocker);
  const made = plan(host, {});
  assert.deepEqual(made.dirs, ['devices/tare/web']);
  assert.equal(made.procs, 'devices/tare/web/cgroup.procs');
  assert.match(made.warnings.join(), /read-only/);
  assert.throws(
    () => plan(host, { memory: { limit: 1 << 30 } }),
    (error) => isKind(error, 'unsupported') && /memory limit/.test(error.message),
  );
  const nothing = plan(detectCgroups({ mountinfo: '', selfCgroup: '' }), {});
  assert.deepEqual([nothing.dirs, nothing.tasks, nothing.kill, nothing.procs], [[], [], '', '']);
});

test('planCgroup counts relative paths from /tare and refuses paths that are none', () => {
  assert.deepEqual(planCgroup(onV2, { cgroupPath: 'pod/web', resources: open }).dirs, ['tare/pod/web']);
  assert.deepEqual(planCgroup(onV2, { cgroupPath: '/a/b/c', resources: open }).parents, ['a', 'a/b']);
  for (const path of ['', '/', '/tare/../x', '..', '/a\nb', `/${'x'.repeat(256)}`]) {
    assert.throws(
      () => planCgroup(onV2, { cgroupPath: path, resources: open }),
      (error) => isKind(error, 'invalid'),
      JSON.stringify(path),
    );
  }
  assert.throws(
    () => planCgroup(onV2, { cgroupPath: 'system.slice:tare:web', resources: open }),
    (error) => isKind(error, 'unsupported'),
  );
});

const refused: readonly [LinuxResources, RegExp][] = [
  [{ memory: { limit: 1000 } }, /limit memory: 1000 bytes is less than the minimum/],
  [{ memory: { limit: -2 } }, /memory limit: -2 is neither/],
  [{ memory: { swap: 1 << 30 } }, /limit swap: .*needs a memory limit/],
  [{ memory: { limit: 1 << 30, swap: 1 << 20 } }, /memory plus swap \(1048576\) is less/],
  [{ memory: { limit: 1 << 20, reservation: 1 << 30 } }, /reserve memory/],
  [{ memory: { swappiness: 101 } }, /swappiness/],
  [{ cpu: { shares: 1 } }, /CPU shares: 1 is not a whole number from 2 to 262144/],
  [{ cpu: { quota: 10 } }, /limit CPU time/],
  [{ cpu: { period: 999 } }, /CPU period/],
  [{ cpu: { burst: 10 } }, /burst needs a CPU quota/],
  [{ cpu: { cpus: '0-' } }, /choose CPUs/],
  [{ cpu: { cpus: '3-1' } }, /choose CPUs/],
  [{ cpu: { mems: '0\n1' } }, /choose memory nodes/],
  [{ pids: { limit: 1.5 } }, /number of processes/],
  [{ blockIO: { weight: 5 } }, /block I\/O weight/],
  [{ blockIO: { throttleReadBpsDevice: [{ major: -1, minor: 0, rate: 1 }] } }, /not a device number/],
  [{ hugepageLimits: [{ pageSize: '../x', limit: 1 }] }, /page size/],
  [{ unified: { '../memory.max': '1' } }, /not the name of a cgroup file/],
  [{ rdma: { 'a b': { hcaHandles: 1 } } }, /RDMA/],
];

for (const [resources, message] of refused) {
  test(`planCgroup refuses ${JSON.stringify(resources)}`, () => {
    for (const host of [onV1, onV2])
      assert.throws(
        () => plan(host, resources),
        (error) => isKind(error, 'invalid') && message.test(error.message),
      );
  });
}

test('the freezer found alone is that of the whole place', () => {
  for (const host of [onV1, onV2, onHybrid, detectCgroups(v1InDocker)]) {
    const { root, unified, freezer } = locateCgroup(host, '/tare/web');
    const alone = locateFreezer(host, '/tare/web');
    assert.deepEqual(alone, unified === undefined ? { root, freezer } : { root, unified, freezer: '' });
  }
});

test('planCgroup: below the cgroup of a pod, the monitor lives beside that of the pod', () => {
  const inPod = (host: typeof onV1): CgroupPlan =>
    planCgroup(host, { cgroupPath: '/tare/pod/web', resources: open, monitorsIn: '/tare' });
  assert.equal(inPod(onV2).monitors, 'tare/tare-monitors');
  assert.deepEqual(inPod(onV2).leave, ['tare/tare-monitors/cgroup.procs']);
  assert.ok(inPod(onV2).parentWrites.some(({ file }) => file === 'tare/pod/cgroup.subtree_control'));
  assert.deepEqual(inPod(onV1).leave, plan(onV1, {}).leave);
});
