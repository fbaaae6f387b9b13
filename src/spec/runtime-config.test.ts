import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseProcess, parseRuntimeConfig } from './runtime-config.ts';

/** Every field of the Linux part once. */
const full = {
  ociVersion: '1.3.0',
  process: {
    terminal: true,
    consoleSize: { height: 24, width: 80 },
    user: { uid: 1, gid: 2, umask: 18, additionalGids: [5] },
    args: ['sh'],
    env: ['A=1'],
    cwd: '/',
    capabilities: { bounding: ['CAP_KILL'], effective: [], inheritable: [], permitted: [], ambient: ['CAP_BPF'] },
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 ** 64 }],
    noNewPrivileges: true,
    apparmorProfile: 'p',
    oomScoreAdj: -1000,
    scheduler: { policy: 'SCHED_FIFO', nice: 0, priority: 5, flags: [], runtime: 1, deadline: 2, period: 3 },
    selinuxLabel: 'l',
    ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 4 },
    execCPUAffinity: { initial: '0', final: '1-2' },
  },
  root: { path: 'rootfs', readonly: true },
  hostname: 'h',
  domainname: 'd',
  mounts: [
    {
      destination: '/a',
      type: 'bind',
      source: '/b',
      options: ['ro'],
      uidMappings: [{ containerID: 0, hostID: 1, size: 2 }],
      gidMappings: [{ containerID: 0, hostID: 1, size: 2 }],
    },
  ],
  hooks: { poststop: [{ path: '/h', args: ['h'], env: [], timeout: 5 }] },
  annotations: { k: 'v' },
  linux: {
    uidMappings: [{ containerID: 0, hostID: 0, size: 4294967295 }],
    gidMappings: [],
    sysctl: { 'net.ipv4.ip_forward': '1' },
    resources: {
      devices: [
        { allow: false, access: 'rwm' },
        { allow: true, type: 'c', major: 1, minor: -1, access: 'r' },
      ],
      memory: { limit: -1, swap: 9223372036854771712, swappiness: 5, disableOOMKiller: false },
      cpu: { shares: 2, quota: -1, burst: 1, period: 100000, cpus: '0', mems: '0', idle: 1 },
      pids: { limit: 10 },
      blockIO: {
        weight: 10,
        weightDevice: [{ major: 8, minor: 0, weight: 5 }],
        throttleReadBpsDevice: [{ major: 8, minor: 0, rate: 1 }],
      },
      hugepageLimits: [{ pageSize: '2MB', limit: 0 }],
      network: { classID: 1, priorities: [{ name: 'eth0', priority: 1 }] },
      rdma: { mlx5_1: { hcaHandles: 3 } },
      unified: { 'memory.high': '1' },
    },
    cgroupsPath: '/x',
    namespaces: [{ type: 'pid' }, { type: 'network', path: '/run/netns/x' }],
    devices: [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229, fileMode: 438, uid: 0, gid: 0 }],
    netDevices: { eth0: { name: 'ctr0' } },
    seccomp: {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 1,
      architectures: ['SCMP_ARCH_X86'],
      flags: [],
      syscalls: [
        {
          names: ['read'],
          action: 'SCMP_ACT_ALLOW',
          args: [{ index: 0, value: 4294967295, valueTwo: 1, op: 'SCMP_CMP_MASKED_EQ' }],
        },
      ],
    },
    rootfsPropagation: 'rslave',
    maskedPaths: ['/proc/kcore'],
    readonlyPaths: ['/proc/sys'],
    mountLabel: 'm',
    intelRdt: { closID: 'c', schemata: ['L3:0=f'], enableMonitoring: true },
    memoryPolicy: { mode: 'MPOL_BIND', nodes: '0', flags: [] },
    personality: { domain: 'LINUX32' },
    timeOffsets: { monotonic: { secs: 1, nanosecs: 2 } },
  },
};

test('parseRuntimeConfig keeps every field of the spec, and ignores unknown ones at every level', () => {
  assert.deepEqual(parseRuntimeConfig(full), full);
  const extended = {
    ...full,
    windows: {},
    process: { ...full.process, commandLine: 'x' },
    linux: { ...full.linux, future: [1] },
  };
  assert.deepEqual(parseRuntimeConfig(extended), full);
});

test('parseRuntimeConfig: null and absent are the same, as Go programs write it', () => {
  const config = parseRuntimeConfig({
    ociVersion: '1.0.2-dev',
    process: { cwd: '/', args: null, env: null },
    mounts: null,
    linux: { seccomp: null, rootfsPropagation: '' },
  });
  assert.deepEqual(config, { ociVersion: '1.0.2-dev', process: { user: { uid: 0, gid: 0 }, cwd: '/' }, linux: {} });
});

/** Sets one field deep inside a copy of the full document. */
function changed(path: string, value: unknown): unknown {
  const copy = structuredClone(full) as Record<string, unknown>;
  const keys = path.split('.');
  let at = copy;
  for (const key of keys.slice(0, -1)) at = at[key] as Record<string, unknown>;
  at[keys.at(-1) ?? ''] = value;
  return copy;
}

test('parseRuntimeConfig: invalid, naming the field, for wrong types, ranges and words', () => {
  const cases: [path: string, value: unknown][] = [
    ['ociVersion', '2.0.0'],
    ['ociVersion', undefined],
    ['process.user.uid', '0'],
    ['process.user.uid', 4294967295],
    ['process.user.gid', -1],
    ['process.user.uid', 1.5],
    ['process.user.additionalGids.0', 4294967295],
    ['process.cwd', undefined],
    ['process.args.0', 'a\0b'],
    ['process.env', 'A=1'],
    ['process.terminal', 'yes'],
    ['process.capabilities.bounding.0', 'CAP_NOPE'],
    ['process.capabilities.bounding.0', 'KILL'],
    ['process.rlimits.0.type', 'RLIMIT_NOPE'],
    ['process.rlimits.0.soft', -1],
    ['process.oomScoreAdj', -1001],
    ['process.ioPriority.class', 'IOPRIO_CLASS_NONE'],
    ['mounts.0.destination', undefined],
    ['mounts.0.options.0', 5],
    ['hooks.poststop.0.path', 'h'],
    ['hooks.poststop.0.timeout', 0],
    ['linux.namespaces.0.type', 'net'],
    ['linux.namespaces.1.path', 'run/netns'],
    ['linux.devices.0.type', 'd'],
    ['linux.devices.0.major', undefined],
    ['linux.uidMappings.0.size', 0],
    ['linux.resources.devices.0.access', 'rx'],
    ['linux.resources.memory.limit', '1m'],
    ['linux.resources.hugepageLimits.0.pageSize', '../2MB'],
    ['linux.seccomp.defaultAction', 'ALLOW'],
    ['linux.seccomp.syscalls.0.names', []],
    ['linux.seccomp.syscalls.0.args.0.value', 9007199254740994],
    ['linux.seccomp.syscalls.0.args.0.op', 'SCMP_CMP_IS'],
    ['linux.rootfsPropagation', 'everywhere'],
    ['linux.sysctl.a', 1],
    ['linux', []],
  ];
  for (const [path, value] of cases) {
    const last = path.split('.').findLast((part) => !/^\d+$/.test(part)) ?? '';
    assert.throws(
      () => parseRuntimeConfig(changed(path, value)),
      { kind: 'invalid', message: new RegExp(`^Cannot use runtime config: .*${last}`) },
      `${path} = ${JSON.stringify(value)}`,
    );
  }
  for (const json of [null, [], 'x', 3]) assert.throws(() => parseRuntimeConfig(json), { kind: 'invalid' });
});

test('CVE-2026-30892: ids are numbers, never text that parses to another one', () => {
  for (const uid of ['1', '1x', '', '0x10', true, [1]])
    assert.throws(() => parseProcess({ cwd: '/', user: { uid, gid: 0 } }), { kind: 'invalid' }, JSON.stringify(uid));
});

test('parseRuntimeConfig: lists that are absurdly long are invalid', () => {
  assert.throws(() => parseRuntimeConfig(changed('mounts', new Array(20_000).fill({ destination: '/a' }))), {
    kind: 'invalid',
    message: /mounts/,
  });
});

test(
  'parseRuntimeConfig reads what crun spec writes',
  { skip: spawnSync('crun', ['--version']).status === 0 ? false : 'it needs crun' },
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'tare-spec-'));
    try {
      execFileSync('crun', ['spec'], { cwd: dir });
      const config = parseRuntimeConfig(JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')));
      assert.deepEqual(config.process?.args, ['sh']);
      assert.ok((config.mounts?.length ?? 0) >= 7);
      assert.ok(config.linux?.namespaces?.some(({ type }) => type === 'mount'));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
