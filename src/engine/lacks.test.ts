import assert from 'node:assert/strict';
import test from 'node:test';
import { lacksOf } from './lacks.ts';
import { countSubIds, type Machine } from './machine.ts';

const good: Machine = {
  kernel: '6.1.0-44-amd64',
  features: {
    openat2: true,
    mountApi: true,
    mountSetattr: true,
    overlay: true,
    overlayAppend: false,
    idMappedMounts: true,
    pidfd: true,
    cloneIntoCgroup: true,
    landlockAbi: 2,
    seccompFlags: 63,
  },
  cgroups: { mode: 'v2', controllers: ['cpuset', 'cpu', 'io', 'memory', 'pids'], warnings: [] },
  uid: 0,
  userName: 'root',
  maxUserNamespaces: 10_000,
  subUids: 0,
  subGids: 0,
  security: { seccomp: true, apparmor: false, selinux: false },
  programs: { newuidmap: '/usr/bin/newuidmap', newgidmap: '/usr/bin/newgidmap', 'fuse-overlayfs': undefined },
  rootFreeBytes: 1e12,
  storageFreeBytes: 1e12,
  storageFuse: false,
};
const user: Partial<Machine> = { uid: 1000, userName: 'ann', subUids: 65_536, subGids: 65_536 };

const whats = (change: Partial<Machine>): string[] => lacksOf({ ...good, ...change }).map(({ what }) => what);

test('lacksOf: a machine with everything lacks nothing, for root and for a user', () => {
  assert.deepEqual(lacksOf(good), []);
  assert.deepEqual(lacksOf({ ...good, ...user }), []);
});

test('lacksOf: each thing that is not there, with what to do', () => {
  const features = { ...good.features };
  assert.deepEqual(whats({ kernel: '5.10.0' }), ['a kernel from 5.14 up']);
  assert.deepEqual(whats({ kernel: '4.19.0', ...user }).length, 2);
  assert.deepEqual(whats({ features: { ...features, openat2: false } }), ['openat2']);
  const overlayless = ['overlayfs for this user', 'the program fuse-overlayfs'];
  assert.deepEqual(whats({ features: { ...features, overlay: false } }), overlayless);
  assert.deepEqual(whats({ features: { ...features, overlay: false }, ...user }), overlayless);
  assert.deepEqual(whats({ security: { seccomp: false, apparmor: false, selinux: false } }), ['seccomp filters']);
  assert.deepEqual(whats({ maxUserNamespaces: 0 }), ['user namespaces']);
  assert.deepEqual(whats({ userNamespaceBarrier: 'kernel.unprivileged_userns_clone=1' }), []);
  assert.deepEqual(whats({ userNamespaceBarrier: 'kernel.unprivileged_userns_clone=1', ...user }), [
    'user namespaces for users',
  ]);
  assert.deepEqual(whats({ ...user, subUids: 0 }), ['65536 ids for ann in /etc/subuid']);
  assert.deepEqual(whats({ ...user, subGids: 10 }), ['65536 ids for ann in /etc/subgid']);
  assert.deepEqual(whats({ ...user, programs: { 'fuse-overlayfs': '/usr/bin/fuse-overlayfs' } }), [
    'the program newuidmap',
    'the program newgidmap',
  ]);
  assert.deepEqual(whats({ storageProblem: 'driver vfs is not supported' }), ['a usable image store']);
  assert.deepEqual(whats({ rootFreeBytes: 1e6, storageFreeBytes: 1e6 }), ['space for images', 'space for containers']);
});

test('lacksOf: what a store for fuse-overlayfs needs', () => {
  const programs = { ...good.programs, 'fuse-overlayfs': '/usr/bin/fuse-overlayfs' };
  assert.deepEqual(whats({ storageFuse: true, programs }), []);
  assert.deepEqual(whats({ storageFuse: true }), ['the program fuse-overlayfs']);
  assert.deepEqual(whats({ fuseDeviceProblem: 'missing' }), []);
  assert.deepEqual(lacksOf({ ...good, storageFuse: true, programs, fuseDeviceProblem: 'denied' }), [
    {
      what: 'the right to open /dev/fuse',
      effect: 'fuse-overlayfs needs it, and mounts the layers of the image store: no image can be run',
      todo: 'as root: chmod 0666 /dev/fuse',
    },
  ]);
});

test('lacksOf: cgroup controllers, and what they are good for, by version', () => {
  const of = (mode: string, controllers: readonly string[], warnings: readonly string[] = []): string[] =>
    whats({ cgroups: { mode, controllers, warnings } });
  assert.deepEqual(of('v2', ['memory', 'pids', 'cpu']), ['cgroup controller cpuset']);
  assert.deepEqual(of('hybrid', ['memory', 'pids', 'cpu', 'cpuset', 'devices']), ['cgroup controller freezer']);
  assert.deepEqual(of('none', [], ['No cgroup file system is mounted below /sys/fs/cgroup: no limits']), [
    'usable cgroups',
  ]);
  const mine = { ...user, cgroups: { mode: 'v2', controllers: [], warnings: [] } };
  assert.deepEqual(whats(mine), ["cgroups of ann's own"]);
  const [lack] = lacksOf({
    ...good,
    cgroups: { mode: 'v1', controllers: ['pids', 'cpu', 'cpuset', 'devices', 'freezer'], warnings: [] },
  });
  assert.deepEqual(lack, {
    what: 'cgroup controller memory',
    effect: '--memory and --memory-swap cannot be set',
    todo: "take cgroup_disable=memory from the kernel's command line, or mount the controller",
  });
});

test('countSubIds: lines of the user by name or number, all added up; anything else is nobody’s', () => {
  const text = '# ann:1:5\nann:100000:65536\nbob:200000:65536\n1000:300000:100\nann:x:1\nann:1\n';
  assert.equal(countSubIds(text, 'ann', 1000), 65_636);
  assert.equal(countSubIds(text, 'carl', 7), 0);
  assert.equal(countSubIds('', 'ann', 1000), 0);
});

test('lacksOf: systemd that was asked for and cannot be used', () => {
  const managerProblem = 'Cannot use systemd for cgroups: no systemd runs here; start it, or not';
  assert.deepEqual(lacksOf({ ...good, cgroups: { ...good.cgroups, managerProblem } }), [
    {
      what: 'systemd for cgroups',
      effect: 'no container can be created: no systemd runs here',
      todo: 'start it, or not',
    },
  ]);
});
