import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Mount } from '../../spec/runtime-types.ts';
import { planConstants } from '../../sys/plan/schema.ts';
import { at, monitor, noCgroup, opsOf, plan, v2Cgroup } from './fixture.suite.ts';

const { KIND_DIRECTORY, KIND_FILE, MOUNT_NOFOLLOW, MOUNT_COPYUP } = planConstants;
const [RDONLY, NOSUID, NODEV, NOEXEC] = [1, 2, 4, 8];
const MS_RPRIVATE = 0x44000;
const dev: Mount = { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] };

test('compile: a bind mount becomes a cloned tree with its attributes, private unless asked otherwise', () => {
  const compiled = plan({
    mounts: [
      { destination: '/a//b/', type: 'bind', source: '/src', options: ['rbind', 'ro', 'nosuid'] },
      { destination: '/etc/x', source: '/x.file', options: ['bind', 'rw', 'rshared'] },
    ],
  });
  const [a, x] = opsOf(compiled, 'mountFd');
  assert.deepEqual(
    { ...a, fd: compiled.fds[a?.fd ?? -1] },
    {
      op: 'mountFd',
      fd: { kind: 'tree', source: '/src', recursive: true },
      target: '/a/b',
      set: RDONLY | NOSUID,
      clear: 0,
      recursive: 0,
      propagation: MS_RPRIVATE,
      kind: KIND_DIRECTORY,
      flags: 0,
    },
  );
  assert.deepEqual(
    { ...x, fd: compiled.fds[x?.fd ?? -1] },
    {
      op: 'mountFd',
      fd: { kind: 'tree', source: '/x.file', recursive: false },
      target: '/etc/x',
      set: 0,
      clear: RDONLY,
      recursive: 0,
      propagation: 0x104000,
      kind: KIND_FILE,
      flags: 0,
    },
  );
});

test('compile: a bind that the caller has opened is not looked for on the host', () => {
  const compiled = plan(
    {
      mounts: [
        { destination: '/a', type: 'bind', source: '/src', options: ['rbind'] },
        { destination: '/v', type: 'bind', source: 'volume:v', options: ['rbind', 'ro'] },
        {
          destination: '/f',
          type: 'bind',
          source: 'image:i',
          options: ['bind'],
          uidMappings: [{ containerID: 0, hostID: 5, size: 9 }],
          gidMappings: [{ containerID: 0, hostID: 6, size: 9 }],
        },
      ],
    },
    {
      opened: [
        { destination: '/f', kind: 'file' },
        { destination: '/v', kind: 'directory' },
      ],
      mountKinds: (source) => (source === '/src' ? 'directory' : assert.fail(source)),
    },
  );
  const [, v, f] = opsOf(compiled, 'mountFd');
  assert.deepEqual(
    [compiled.fds[v?.fd ?? -1], v?.kind, v?.set],
    [{ kind: 'opened', index: 1 }, KIND_DIRECTORY, RDONLY],
  );
  const ids = compiled.fds[f?.fd ?? -1];
  assert.ok(ids?.kind === 'opened' && ids.index === 0 && ids.ids?.uidMappings[0]?.hostID === 5, JSON.stringify(ids));
  assert.equal(f?.kind, KIND_FILE);
});

test('compile: a file system mount gets its own options, "ro" also for file systems with a device', () => {
  const compiled = plan({
    mounts: [
      {
        destination: '/run',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'noexec', 'size=64k', 'ro', 'tmpcopyup', 'defaults'],
      },
      { destination: '/data', type: 'ext4', source: '/dev/vdb', options: ['ro', 'sync'] },
    ],
  });
  const [run, data] = opsOf(compiled, 'mountFs');
  assert.deepEqual([run?.options, run?.attrs, run?.flags], [['size=64k'], NOSUID | NOEXEC | RDONLY, MOUNT_COPYUP]);
  assert.deepEqual([data?.options, data?.attrs, data?.source], [['ro', 'sync'], RDONLY, '/dev/vdb']);
});

test('compile: invalid mounts', () => {
  const bad: Mount[] = [
    { destination: 'a', type: 'tmpfs' },
    { destination: '/', type: 'tmpfs' },
    { destination: '/a/..', type: 'tmpfs' },
    { destination: '/a' },
    { destination: '/a', type: 'bind' },
    { destination: '/a', type: 'bind', source: 'relative' },
    { destination: '/a', type: 'bind', source: '/b', options: ['tmpcopyup'] },
    { destination: '/a', type: 'tmpfs', options: [''] },
  ];
  for (const mount of bad) assert.throws(() => plan({ mounts: [mount] }), { kind: 'invalid' }, JSON.stringify(mount));
});

test('notes rule 10: a bind mount that carries superblock options is invalid', () => {
  for (const option of ['size=1m', 'sync', 'lazytime', 'context=x', 'upperdir=/etc']) {
    assert.throws(
      () => plan({ mounts: [{ destination: '/a', type: 'bind', source: '/b', options: ['bind', option] }] }),
      { kind: 'invalid', message: new RegExp(option) },
    );
  }
});

test('CVE-2019-16884, CVE-2019-19921: nothing but proc is mounted on /proc, and below it only a fixed list of files', () => {
  const refused = [
    '/proc',
    '//proc/',
    '/proc/self',
    '/proc/self/attr',
    '/proc/sys',
    '/x/../proc/sysrq-trigger',
    '/proc/1/fd',
    '/proc/cpuinfo/x',
  ];
  for (const destination of refused) {
    assert.throws(() => plan({ mounts: [{ destination, type: 'tmpfs' }] }), { kind: 'invalid' }, destination);
    assert.throws(
      () => plan({ mounts: [{ destination, type: 'bind', source: '/src' }] }),
      { kind: 'invalid' },
      destination,
    );
  }
  assert.throws(() => plan({ mounts: [{ destination: '/proc/sys', type: 'proc' }] }), { kind: 'invalid' });
  assert.throws(() => plan({ mounts: [{ destination: '/proc/uptime', type: 'tmpfs' }] }), { kind: 'invalid' });
  const allowed = plan({
    mounts: [
      { destination: '/proc', type: 'proc' },
      { destination: '/proc/uptime', type: 'bind', source: '/lxcfs/uptime.file' },
    ],
  });
  assert.equal(opsOf(allowed, 'mountFs')[0]?.target, '/proc');
  assert.equal(opsOf(allowed, 'mountFd')[0]?.flags, MOUNT_NOFOLLOW);
});

test('CVE-2023-27561, CVE-2023-28642: /proc, /sys and /dev must be real directories of the root', () => {
  const compiled = plan({
    mounts: [
      { destination: '/proc', type: 'proc' },
      { destination: '/sys', type: 'sysfs' },
      dev,
      { destination: '/tmp', type: 'tmpfs' },
    ],
  });
  assert.deepEqual(
    opsOf(compiled, 'mountFs').map(({ target, flags }) => [target, flags & MOUNT_NOFOLLOW]),
    [
      ['/proc', MOUNT_NOFOLLOW],
      ['/sys', MOUNT_NOFOLLOW],
      ['/dev', MOUNT_NOFOLLOW],
      ['/tmp', 0],
    ],
  );
});

test('CVE-2023-25809: with the host’s cgroup namespace only the container’s own v1 directories are shown, and no user namespace gets a writable tree', () => {
  const cgroup: Mount = { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['rw'] };
  const shared = plan({ mounts: [cgroup], linux: { namespaces: [{ type: 'mount' }] } });
  assert.deepEqual(
    shared.fds.flatMap((fd) => (fd.kind === 'tree' ? [fd.source] : [])),
    ['/sys/fs/cgroup/memory/tare/c1', '/sys/fs/cgroup/cpu,cpuacct/tare/c1', '/sys/fs/cgroup/systemd/tare/c1'],
  );
  const ids = [{ containerID: 0, hostID: 1, size: 1 }];
  const rootless = plan(
    {
      mounts: [cgroup],
      linux: { namespaces: [{ type: 'mount' }, { type: 'user' }], uidMappings: ids, gidMappings: ids },
    },
    { cgroup: v2Cgroup },
  );
  assert.equal(Number(opsOf(rootless, 'mountFs')[0]?.attrs) & RDONLY, RDONLY);
});

test('compile: a cgroup mount follows the host: one cgroup2, or a tmpfs with the container’s v1 hierarchies, sealed before they are mounted', () => {
  const cgroup: Mount = { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro', 'nosuid'] };
  const v2 = opsOf(plan({ mounts: [cgroup] }, { cgroup: v2Cgroup }), 'mountFs');
  assert.deepEqual(
    v2.map(({ type, target, attrs }) => [type, target, attrs]),
    [['cgroup2', '/sys/fs/cgroup', RDONLY | NOSUID | NODEV | NOEXEC]],
  );
  const compiled = plan({ mounts: [cgroup] });
  assert.deepEqual(
    opsOf(compiled, 'mountFs').map(({ type, target, options }) => [type, target, options]),
    [
      ['tmpfs', '/sys/fs/cgroup', ['mode=755', 'size=64k']],
      ['cgroup', '/sys/fs/cgroup/memory', ['memory']],
      ['cgroup', '/sys/fs/cgroup/cpu,cpuacct', ['cpu', 'cpuacct']],
      ['cgroup', '/sys/fs/cgroup/systemd', ['name=systemd']],
    ],
  );
  const sealed = at(compiled, 'readonlyPath', { target: '/sys/fs/cgroup' });
  assert.ok(at(compiled, 'symlink', { target: '/sys/fs/cgroup/cpuacct', to: 'cpu,cpuacct' }) < sealed);
  assert.ok(sealed < at(compiled, 'mountFs', { type: 'cgroup' }));
  assert.deepEqual(
    opsOf(plan({ mounts: [cgroup] }, { cgroup: noCgroup }), 'mountFs').map(({ type }) => type),
    ['tmpfs'],
  );
});

test('CVE-2026-41579, CVE-2026-47766: nodes and links of /dev are steps beneath the root, before pivot_root and after the mounts', () => {
  const compiled = plan({
    mounts: [dev, { destination: '/dev/pts', type: 'devpts' }],
    linux: { devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 0o600, uid: 5 }] },
  });
  assert.deepEqual(
    opsOf(compiled, 'mknod').map(({ target }) => target),
    ['/dev/null', '/dev/zero', '/dev/full', '/dev/random', '/dev/urandom', '/dev/tty', '/dev/fuse'],
  );
  assert.deepEqual(opsOf(compiled, 'mknod').at(-1), {
    op: 'mknod',
    target: '/dev/fuse',
    mode: 0o020600,
    major: 10,
    minor: 229,
    uid: 5,
    gid: 0,
  });
  assert.deepEqual(opsOf(compiled, 'symlink').at(-1), { op: 'symlink', target: '/dev/ptmx', to: 'pts/ptmx' });
  assert.ok(at(compiled, 'mountFs', { target: '/dev/pts' }) < at(compiled, 'mknod'));
  assert.ok(at(compiled, 'symlink') < at(compiled, 'pivot'));
});

test('compile leaves a bound /dev alone, and what a mount put in the place of a device', () => {
  const bound = plan({ mounts: [{ destination: '/dev', type: 'bind', source: '/dev', options: ['rbind'] }] });
  assert.deepEqual([opsOf(bound, 'mknod'), opsOf(bound, 'symlink')], [[], []]);
  const replaced = plan({
    mounts: [dev, { destination: '/dev/random', type: 'bind', source: '/dev/urandom.file', options: ['bind'] }],
  });
  assert.equal(at(replaced, 'mknod', { target: '/dev/random' }), -1);
});

test('compile: a read-only /dev is filled, given mount points, sealed, and only then mounted on', () => {
  const compiled = plan({
    mounts: [
      { ...dev, options: ['ro'] },
      { destination: '/dev/shm', type: 'tmpfs' },
      { destination: '/dev/log', type: 'bind', source: '/log.file' },
    ],
  });
  assert.equal(Number(opsOf(compiled, 'mountFs')[0]?.attrs) & RDONLY, 0);
  const sealed = at(compiled, 'readonlyPath', { target: '/dev' });
  assert.ok(at(compiled, 'mknod', { target: '/dev/null' }) < sealed);
  assert.ok(at(compiled, 'mkdir', { target: '/dev/shm' }) < sealed);
  assert.equal(opsOf(compiled, 'mknod').find(({ target }) => target === '/dev/log')?.mode, 0o100600);
  assert.ok(sealed < at(compiled, 'mountFs', { target: '/dev/shm' }));
  assert.equal(opsOf(compiled, 'mknod').filter(({ target }) => target === '/dev/null').length, 1);
});

test('CVE-2025-31133, CVE-2025-52565, CVE-2025-52881: masks, the console and sysctls are steps of their own, never binds of the container’s files', () => {
  const compiled = plan(
    {
      process: { terminal: true },
      mounts: [dev, { destination: '/dev/pts', type: 'devpts' }],
      linux: { maskedPaths: ['/proc/kcore'], sysctl: { 'net.ipv4.ip_forward': '1' } },
    },
    { monitor: { ...monitor, stdio: 'pty' } },
  );
  assert.equal(opsOf(compiled, 'mountFd').length, 0);
  assert.deepEqual(opsOf(compiled, 'mask'), [{ op: 'mask', target: '/proc/kcore' }]);
  assert.deepEqual(opsOf(compiled, 'sysctl'), [{ op: 'sysctl', path: 'net/ipv4/ip_forward', value: '1' }]);
  assert.equal(opsOf(compiled, 'tty')[0]?.console, 1);
  assert.equal(compiled.fds.filter(({ kind }) => kind === 'tree').length, 0);
});

test('compile: an id-mapped mount has its own maps or those of the container, and is nothing but a bind mount or an overlay', () => {
  const own = [{ containerID: 0, hostID: 7, size: 1 }];
  const containers = [{ containerID: 0, hostID: 100_000, size: 10 }];
  const linux = {
    namespaces: [{ type: 'mount' }, { type: 'user' }],
    uidMappings: containers,
    gidMappings: containers,
  } as const;
  const compiled = plan({
    linux,
    mounts: [
      { destination: '/own', type: 'bind', source: '/a', options: ['bind'], uidMappings: own, gidMappings: own },
      { destination: '/its', type: 'bind', source: '/b', options: ['rbind', 'idmap'] },
      { destination: '/all', type: 'bind', source: '/c', options: ['rbind', 'ridmap'] },
      { destination: '/none', type: 'bind', source: '/d', options: ['rbind'] },
      {
        destination: '/over',
        type: 'overlay',
        options: ['lowerdir=/l', 'upperdir=/u', 'workdir=/w'],
        uidMappings: own,
        gidMappings: own,
      },
    ],
  });
  const ids = (mappings: readonly object[], recursive: boolean): object => ({
    uidMappings: mappings,
    gidMappings: mappings,
    recursive,
  });
  const trees = compiled.fds.flatMap((fd) => (fd.kind === 'tree' && /^\/[a-d]$/.test(fd.source) ? [fd.ids] : []));
  assert.deepEqual(trees, [ids(own, false), ids(containers, false), ids(containers, true), undefined]);
  const overlay = compiled.fds.find((fd) => fd.kind === 'overlay');
  assert.deepEqual(overlay?.mount.ids, { uidMappings: own, gidMappings: own });

  const refused = (mount: Partial<Mount>, kind: string, message: RegExp): void =>
    assert.throws(() => plan({ mounts: [{ destination: '/x', ...mount }] }), { kind, message });
  refused({ type: 'tmpfs', source: 'tmpfs', uidMappings: own, gidMappings: own }, 'unsupported', /only bind mounts/);
  refused({ type: 'tmpfs', source: 'tmpfs', options: ['idmap'] }, 'unsupported', /only bind mounts/);
  refused({ type: 'bind', source: '/a', options: ['idmap'] }, 'invalid', /neither it nor the container/);
  refused({ type: 'bind', source: '/a', uidMappings: own }, 'invalid', /both uidMappings and gidMappings/);
});
