import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodePlan } from '../../sys/plan/decode.ts';
import { encodePlan } from '../../sys/plan/encode.ts';
import { NO_FD, planConstants } from '../../sys/plan/schema.ts';
import { defaultConfig } from '../default-config.ts';
import {
  at,
  baseProcess,
  configWith,
  monitor,
  noCgroup,
  opsOf,
  options,
  plan,
  v1Cgroup,
  v2Cgroup,
} from './fixture.suite.ts';
import { compile } from './compile.ts';
import { compileExec } from './compile-exec.ts';

const NEWCGROUP = 0x2000000;

test('compile: a default config becomes a Plan that encodes and decodes to itself', () => {
  const compiled = compile(defaultConfig({ argv: ['sh', '-c', 'true'] }), options);
  const decoded = decodePlan(encodePlan(compiled.ops, compiled.fds.length));
  assert.equal(decoded.fdCount, compiled.fds.length);
  assert.deepEqual(
    decoded.ops.map(({ op }) => op),
    compiled.ops.map(({ op }) => op),
  );
});

test('compile orders the steps of a start: cgroup, namespace, root, mounts, hooks, pivot, masks, start, filter, identity, exec', () => {
  const hook = { path: '/bin/hook' };
  const compiled = plan({
    process: { cwd: '/srv', rlimits: [{ type: 'RLIMIT_NOFILE', soft: 10, hard: 20 }] },
    mounts: [{ destination: '/proc', type: 'proc' }],
    linux: {
      maskedPaths: ['/proc/kcore'],
      readonlyPaths: ['/proc/sys'],
      sysctl: { 'net.core.somaxconn': '1024' },
      seccomp: { defaultAction: 'SCMP_ACT_ALLOW' },
    },
    config: {
      root: { path: 'rootfs', readonly: true },
      hooks: { createRuntime: [hook], createContainer: [hook], startContainer: [hook], poststop: [hook] },
    },
  });
  const order = [
    at(compiled, 'clone'),
    at(compiled, 'cgroupTask'),
    at(compiled, 'unshare'),
    at(compiled, 'pdeathsig'),
    at(compiled, 'root'),
    at(compiled, 'mountFs'),
    at(compiled, 'mknod'),
    at(compiled, 'mkdir'),
    at(compiled, 'barrier', { kind: planConstants.BARRIER_RUNTIME_HOOKS }),
    at(compiled, 'hookHere'),
    at(compiled, 'pivot'),
    at(compiled, 'sysctl'),
    at(compiled, 'readonlyPath'),
    at(compiled, 'mask'),
    at(compiled, 'rootAttr'),
    at(compiled, 'barrier', { kind: planConstants.BARRIER_START }),
    at(compiled, 'cwd'),
    at(compiled, 'rlimit'),
    at(compiled, 'seccomp'),
    at(compiled, 'capsBounding'),
    at(compiled, 'user'),
    at(compiled, 'caps'),
    compiled.ops.findLastIndex(({ op }) => op === 'hookHere'),
    at(compiled, 'exec'),
  ];
  assert.ok(!order.includes(-1), String(order));
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
  assert.equal(order.at(-1), compiled.ops.length - 1);
});

test('compile: with no_new_privs the filter is the last step, and start is waited for without privileges', () => {
  const compiled = plan({
    process: { noNewPrivileges: true },
    linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } },
  });
  const names = compiled.ops.slice(-7).map(({ op }) => op);
  assert.deepEqual(names, ['noNewPrivs', 'capsBounding', 'user', 'caps', 'barrier', 'seccomp', 'exec']);
});

test('compile: a v1 container writes its tasks files, is born in the unified directory and unshares its cgroup namespace afterwards', () => {
  const compiled = plan();
  assert.deepEqual(
    opsOf(compiled, 'cgroupTask').map(({ fd }) => compiled.fds[fd]),
    v1Cgroup.tasks.map((path) => ({ kind: 'cgroup-file', path, write: true })),
  );
  const [clone] = opsOf(compiled, 'clone');
  assert.deepEqual(compiled.fds[clone?.cgroup ?? -1], { kind: 'cgroup-dir', path: 'unified/tare/c1' });
  assert.equal(Number(clone?.flags) & NEWCGROUP, 0);
  assert.deepEqual(opsOf(compiled, 'unshare'), [{ op: 'unshare', flags: NEWCGROUP }]);
  assert.deepEqual(opsOf(compiled, 'oom')[0]?.file, 'memory/tare/c1/memory.oom_control');
});

test('compile without a cgroup: no cgroup op, no task, no descriptor', () => {
  const compiled = plan({}, { cgroup: noCgroup });
  assert.deepEqual(
    [opsOf(compiled, 'cgroup'), opsOf(compiled, 'oom'), opsOf(compiled, 'cgroupTask'), opsOf(compiled, 'leave')],
    [[], [], [], []],
  );
  assert.equal(opsOf(compiled, 'clone')[0]?.cgroup, NO_FD);
  assert.ok(!compiled.fds.some(({ kind }) => kind.startsWith('cgroup')));
});

test('compile shares the slots of equal descriptors, but never of trees', () => {
  const bind = (destination: string): { destination: string; type: string; source: string; options: string[] } => ({
    destination,
    type: 'bind',
    source: '/src',
    options: ['bind'],
  });
  const compiled = plan({ mounts: [bind('/a'), bind('/b')] });
  assert.equal(compiled.fds.filter(({ kind }) => kind === 'tree').length, 2);
  assert.equal(compiled.fds.filter(({ kind }) => kind === 'rootfs').length, 1);
  assert.equal(opsOf(compiled, 'root')[0]?.fd, opsOf(compiled, 'rootfs')[0]?.fd);
});

test('compile joins namespaces by path and makes only the others', () => {
  const compiled = plan({
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'network', path: '/run/netns/a' }] },
  });
  assert.equal(opsOf(compiled, 'clone')[0]?.flags, 0x20020000);
  const [join] = opsOf(compiled, 'join');
  assert.equal(join?.nstype, 0x40000000);
  assert.deepEqual(compiled.fds[join?.fd ?? -1], { kind: 'namespace', path: '/run/netns/a' });
  assert.deepEqual([opsOf(compiled, 'loopback'), opsOf(compiled, 'unshare')], [[], []]);
  assert.equal(opsOf(plan(), 'loopback').length, 1);
});

test('compile: a new user namespace gets its maps, devices by bind, and a new time namespace its offsets', () => {
  const compiled = plan({
    linux: {
      namespaces: [{ type: 'mount' }, { type: 'user' }, { type: 'time' }],
      uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
      timeOffsets: { monotonic: { secs: -5, nanosecs: 7 } },
    },
  });
  assert.deepEqual(opsOf(compiled, 'idmap'), [
    { op: 'idmap', uid: '0 1000 1\n', gid: '0 100000 65536\n', setgroups: 1 },
  ]);
  assert.deepEqual(opsOf(compiled, 'stdioOwner'), [{ op: 'stdioOwner', uid: 1000, gid: 100_000 }]);
  assert.deepEqual(opsOf(plan(), 'stdioOwner'), []);
  assert.deepEqual(opsOf(compiled, 'timens'), [{ op: 'timens', offsets: 'monotonic -5 7\n' }]);
  assert.equal(opsOf(compiled, 'mknod').length, 0);
  assert.ok(compiled.fds.some((fd) => fd.kind === 'tree' && fd.source === '/dev/null'));
});

test('compile: invalid and unsupported configurations are refused before anything is made', () => {
  const map = [{ containerID: 0, hostID: 0, size: 1 }];
  const invalid: Parameters<typeof plan>[0][] = [
    { process: { args: [] } },
    { process: { cwd: 'relative' } },
    { process: { terminal: true } },
    { linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'pid' }] } },
    { linux: { namespaces: [{ type: 'mount' }, { type: 'user' }] } },
    { linux: { uidMappings: map } },
    { linux: { timeOffsets: { boottime: { secs: 1 } } } },
    { linux: { namespaces: [{ type: 'mount' }] }, config: { hostname: 'a' } },
    { linux: { maskedPaths: ['proc/kcore'] } },
    { linux: { devices: [{ path: 'dev/x', type: 'c', major: 1, minor: 3 }] } },
    { linux: { devices: [{ path: '/proc/x', type: 'c', major: 1, minor: 3 }] } },
    { linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_NOPE'] } } },
  ];
  for (const changes of invalid) assert.throws(() => plan(changes), { kind: 'invalid' }, JSON.stringify(changes));
  const unsupported: Parameters<typeof plan>[0][] = [
    { linux: { namespaces: [{ type: 'pid' }] } },
    { linux: { namespaces: [{ type: 'mount', path: '/run/mnt' }] } },
    { linux: { netDevices: { eth0: {} } } },
    { linux: { intelRdt: {} } },
    { process: { selinuxLabel: 'a:b:c' } },
    { process: { apparmorProfile: 'p' } },
    { linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/run/s' } } },
  ];
  for (const changes of unsupported)
    assert.throws(() => plan(changes), { kind: 'unsupported' }, JSON.stringify(changes));
});

test('compile tells the seccomp compiler the profile, or "default", with the bounding set', () => {
  const asked: unknown[] = [];
  const seccomp = (...args: unknown[]): Uint8Array => {
    asked.push(args);
    return new Uint8Array(16);
  };
  const capabilities = { bounding: ['CAP_KILL'] };
  plan({ process: { capabilities }, config: { annotations: { 'tare.seccomp': 'default' } } }, { seccomp });
  assert.deepEqual(asked, [['default', 32n]]);
  assert.equal(opsOf(plan(), 'seccomp').length, 0);
});

test('compile: stop, log, exit command and hooks become settings of the monitor', () => {
  const compiled = plan(
    {
      config: {
        hooks: {
          prestart: [{ path: '/h1', timeout: 2 }],
          poststop: [{ path: '/h3', args: ['h3', 'x'], env: ['A=1'] }],
        },
        annotations: { a: 'b' },
      },
    },
    {
      id: 'abc',
      bundle: '/b',
      monitor: {
        ...monitor,
        log: { name: 'ctr.log', maxBytes: 10, maxFiles: 0 },
        onExit: { argv: ['/bin/tare', 'cleanup'], env: [] },
        leave: 'systemd/tare/tasks',
      },
    },
  );
  assert.deepEqual(opsOf(compiled, 'log')[0]?.maxFiles, 1);
  assert.deepEqual(opsOf(compiled, 'onExit')[0]?.argv, ['/bin/tare', 'cleanup']);
  const hooks = opsOf(compiled, 'hook');
  assert.deepEqual(
    hooks.map(({ stage, path, argv, timeoutMs }) => [stage, path, argv, timeoutMs]),
    [
      [1, '/h1', ['/h1'], 2000],
      [3, '/h3', ['h3', 'x'], 0],
    ],
  );
  assert.deepEqual(JSON.parse(hooks[1]?.state ?? ''), {
    ociVersion: '1.2.0',
    id: 'abc',
    status: 'stopped',
    pid: 0,
    bundle: '/b',
    annotations: { a: 'b' },
  });
  assert.ok(hooks[0]?.state.includes('"pid":0'));
});

test('compileExec enters cgroup and namespaces before anything of the process, and keeps the container’s limits, filter and no_new_privs', () => {
  const config = configWith({
    process: { noNewPrivileges: true, rlimits: [{ type: 'RLIMIT_CORE', soft: 0, hard: 0 }], oomScoreAdj: 500 },
    linux: { seccomp: { defaultAction: 'SCMP_ACT_ALLOW' } },
  });
  const compiled = compileExec(
    { ...baseProcess, args: ['ls'], cwd: '/srv' },
    { config, cgroup: v1Cgroup },
    { stdio: 'fds', seccomp: options.seccomp },
  );
  const names = compiled.ops.map(({ op }) => op);
  assert.deepEqual(names, [
    'stdio',
    'oomScoreAdj',
    'cgroupTask',
    'cgroupTask',
    'cgroupTask',
    'enter',
    'setsid',
    'pdeathsig',
    'cwd',
    'noNewPrivs',
    'rlimit',
    'capsBounding',
    'user',
    'caps',
    'seccomp',
    'exec',
  ]);
  const [enter] = opsOf(compiled, 'enter');
  assert.equal(enter?.flags, 0x20000 | 0x20000000 | 0x8000000 | 0x4000000 | 0x2000000 | 0x40000000);
  assert.deepEqual(compiled.fds[enter?.pidfd ?? -1], { kind: 'pidfd' });
  assert.deepEqual(
    compiled.fds.flatMap((fd) => (fd.kind === 'stdio' ? [fd.which] : [])),
    [0, 1, 2],
  );
});

test('compileExec on cgroup v2 is cloned into the container’s cgroup, with a terminal that is not its console', () => {
  const compiled = compileExec(
    { ...baseProcess, terminal: true, consoleSize: { height: 24, width: 80 } },
    { config: configWith(), cgroup: v2Cgroup },
    { seccomp: options.seccomp },
  );
  const [enter] = opsOf(compiled, 'enter');
  assert.deepEqual(compiled.fds[enter?.cgroup ?? -1], { kind: 'cgroup-dir', path: 'tare/c1' });
  assert.deepEqual(opsOf(compiled, 'tty'), [{ op: 'tty', rows: 24, cols: 80, console: 0, uid: 0 }]);
  assert.equal(opsOf(compiled, 'cgroupTask').length, 0);
});
