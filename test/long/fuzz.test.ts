/** The helper under a fuzzer and under the sanitizers, and the parsers of untrusted text with random edits of good input. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { TareError } from '../../src/base/errors.ts';
import { parseImageConfig, parseReference, parseRuntimeConfig } from '../../src/spec/mod.ts';
import { parseSeccompProfile } from '../../src/runtime/seccomp/profile-json.ts';
import { parseMountinfo } from '../../src/sys/mountinfo.ts';
import { decodePlan } from '../../src/sys/plan/decode.ts';
import { encodePlan } from '../../src/sys/plan/encode.ts';
import { needs } from '../support/needs.ts';

const SKIPPED = 77;

/** Runs a program of test/helper; 77 means the machine cannot. */
async function program(t: TestContext, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await once(child, 'exit')) as [number | null];
  const shown = (await output).join('\n').slice(-2500);
  if (code === SKIPPED) t.skip('cannot here: the compiler has no fuzzer or no sanitizers');
  else assert.equal(code, 0, shown);
}

test('the helper survives a minute of libFuzzer', { skip: needs.root() }, (t) =>
  program(t, 'test/helper/fuzz.ts', '60'),
);

test(
  'the helper passes its tests under AddressSanitizer and UBSan',
  { skip: needs.root() || needs.program('busybox') },
  (t) => program(t, 'test/helper/sanitized.ts'),
);

test('the resolver of names survives a minute of libFuzzer', { skip: needs.root() }, (t) =>
  program(t, 'test/resolver/fuzz.ts', '60'),
);

test(
  'the resolver of names passes its tests under AddressSanitizer and UBSan',
  { skip: needs.root() || needs.program('nft', 'ip', 'nsenter', 'python3') },
  (t) => program(t, 'test/resolver/sanitized.ts'),
);

test(
  'the keeper of users’ networks passes its tests under AddressSanitizer and UBSan',
  { skip: needs.root() || needs.program('nft', 'ip', 'nsenter', 'python3') },
  (t) => program(t, 'test/network/sanitized.ts'),
);

test('the layer writer passes good and damaged batches under AddressSanitizer and UBSan', { skip: needs.root() }, (t) =>
  program(t, 'test/helper/apply-sanitized.ts', '10000'),
);

const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);
let state = seed;
const dice = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 4294967296;
};
const pick = <T>(list: readonly T[]): T => list[Math.floor(dice() * list.length)] as T;
const odd: readonly unknown[] = [
  null,
  '',
  0,
  -1,
  1e308,
  2 ** 53,
  [],
  {},
  true,
  'x'.repeat(1000),
  '\0',
  '../..',
  { __proto__: null },
  [[]],
  NaN,
];

/** Replaces, removes or duplicates something somewhere in a JSON value. */
function disturb(value: unknown): unknown {
  if (Array.isArray(value) && value.length > 0 && dice() < 0.8) {
    const copy: unknown[] = [...(value as unknown[])];
    const at = Math.floor(dice() * copy.length);
    if (dice() < 0.2) copy.splice(at, 1);
    else copy[at] = disturb(copy[at]);
    return copy;
  }
  if (typeof value === 'object' && value !== null && Object.keys(value).length > 0 && dice() < 0.8) {
    const copy: Record<string, unknown> = { ...(value as Record<string, unknown>) };
    const key = pick(Object.keys(copy));
    if (dice() < 0.2) delete copy[key];
    else copy[key] = disturb(copy[key]);
    return copy;
  }
  return pick(odd);
}

function disturbText(good: string): string {
  let out = good;
  for (let i = 0; i < 1 + dice() * 4; i++) {
    const at = Math.floor(dice() * (out.length + 1));
    const bytes = pick(['', ' ', '\n', '\0', ':', '/', '@', '\\040', '\ud800', 'a'.repeat(300), out.slice(0, at)]);
    out = out.slice(0, at) + bytes + out.slice(at + Math.floor(dice() * 3));
  }
  return out;
}

/** Only a TareError may come out. */
function survives(what: string, parse: () => unknown, input: () => string): void {
  try {
    parse();
  } catch (error) {
    assert.ok(
      error instanceof TareError,
      `${what}, seed ${seed}: ${String((error as Error).stack)}\ninput: ${input()}`,
    );
  }
}

const config = {
  ociVersion: '1.0.2',
  root: { path: 'rootfs', readonly: true },
  hostname: 'h',
  process: {
    terminal: true,
    consoleSize: { height: 24, width: 80 },
    user: { uid: 1, gid: 2, additionalGids: [3], umask: 18 },
    args: ['sh'],
    env: ['A=b'],
    cwd: '/',
    capabilities: { bounding: ['CAP_KILL'], effective: [], permitted: [] },
    rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1, hard: 2 }],
    noNewPrivileges: true,
    oomScoreAdj: 1,
  },
  mounts: [
    {
      destination: '/proc',
      type: 'proc',
      source: 'proc',
      options: ['nosuid'],
      uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
    },
  ],
  hooks: { poststart: [{ path: '/x', args: ['x'], env: [], timeout: 1 }] },
  annotations: { a: 'b' },
  linux: {
    namespaces: [{ type: 'pid' }, { type: 'network', path: '/proc/1/ns/net' }],
    devices: [{ path: '/dev/x', type: 'c', major: 1, minor: 3, fileMode: 438, uid: 0, gid: 0 }],
    resources: {
      memory: { limit: 1 },
      cpu: { shares: 2, cpus: '0-1' },
      pids: { limit: 5 },
      devices: [{ allow: false, access: 'rwm' }],
    },
    seccomp: {
      defaultAction: 'SCMP_ACT_ERRNO',
      architectures: ['SCMP_ARCH_X86_64'],
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ' }] }],
    },
    maskedPaths: ['/proc/kcore'],
    sysctl: { 'net.ipv4.ip_forward': '1' },
    cgroupsPath: '/x/y',
  },
};
const image = {
  architecture: 'amd64',
  os: 'linux',
  created: '2026-01-01T00:00:00Z',
  config: {
    User: 'u:g',
    Env: ['A=b'],
    Cmd: ['sh'],
    Entrypoint: ['e'],
    Volumes: { '/v': {} },
    WorkingDir: '/w',
    Labels: { a: 'b' },
    StopSignal: 'SIGTERM',
    ExposedPorts: { '80/tcp': {} },
    Healthcheck: { Test: ['CMD', 'x'], Interval: 1 },
  },
  rootfs: { type: 'layers', diff_ids: [`sha256:${'0'.repeat(64)}`] },
  history: [{ created: '2026-01-01T00:00:00Z', created_by: 'x', empty_layer: true }],
};

const ROUNDS = 200_000;

test('parsers of JSON documents answer random edits with a TareError or a value', (t) => {
  const seccomp = {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: [] }],
    syscalls: [
      {
        names: ['read'],
        action: 'SCMP_ACT_ALLOW',
        args: [],
        includes: { caps: ['CAP_KILL'], minKernel: '4.8' },
        excludes: {},
      },
    ],
  };
  t.diagnostic(`seed ${seed}`);
  for (let i = 0; i < ROUNDS / 4; i++) {
    const some = (good: unknown): unknown => disturb(dice() < 0.5 ? good : disturb(good));
    const a = some(config),
      b = some(image),
      c = some(seccomp);
    survives(
      'parseRuntimeConfig',
      () => parseRuntimeConfig(a),
      () => JSON.stringify(a),
    );
    survives(
      'parseImageConfig',
      () => parseImageConfig(Buffer.from(JSON.stringify(b))),
      () => JSON.stringify(b),
    );
    survives(
      'parseSeccompProfile',
      () => parseSeccompProfile(c, { capabilities: 0n, native: 'x64', kernel: '6.1.0' }),
      () => JSON.stringify(c),
    );
  }
});

test('parsers of text answer random edits with a TareError or a value', (t) => {
  const references = [
    'alpine',
    'docker.io/library/alpine:3.20',
    `quay.io:5000/a/b@sha256:${'a'.repeat(64)}`,
    'localhost/x_y.z-1:T',
  ];
  const mountinfo = '36 35 98:0 /mnt1 /mnt2\\040x rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n';
  t.diagnostic(`seed ${seed}`);
  for (let i = 0; i < ROUNDS; i++) {
    const reference = disturbText(pick(references));
    survives(
      'parseReference',
      () => parseReference(reference),
      () => JSON.stringify(reference),
    );
    const lines = disturbText(mountinfo);
    survives(
      'parseMountinfo',
      () => parseMountinfo(lines),
      () => JSON.stringify(lines),
    );
  }
});

test('decodePlan answers random edits of a Plan with a TareError or a Plan', (t) => {
  const good = encodePlan(
    [
      { op: 'stop', signal: 15, timeoutMs: 10 },
      { op: 'clone', flags: 0x20000000, cgroup: 0xffffffff },
      { op: 'hostname', name: 'x' },
      { op: 'exec', candidates: ['/bin/sh'], argv: ['sh'], env: ['A=b'], init: 0 },
    ],
    0,
  );
  t.diagnostic(`seed ${seed}`);
  for (let i = 0; i < ROUNDS; i++) {
    let bytes = Buffer.from(good);
    for (let n = 0; n < 1 + dice() * 4; n++)
      bytes[Math.floor(dice() * bytes.length)] = pick([0, 1, 0x7f, 0xff, Math.floor(dice() * 256)]);
    if (dice() < 0.2) bytes = bytes.subarray(0, Math.floor(dice() * bytes.length));
    survives(
      'decodePlan',
      () => decodePlan(bytes),
      () => bytes.toString('hex'),
    );
  }
});
