import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import { decodePlan } from './decode.ts';
import { encodePlan } from './encode.ts';
import { printPlan } from './print.ts';
import { type FieldType, NO_FD, type Op, type OpName, planConstants, planOps } from './schema.ts';

/** mulberry32: the same numbers in every run of one seed. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const alphabet = ['a', '/', '=', ' ', '\n', '"', '\\', 'ä', '\u{feff}', '漢', '😀', '\u{7f}'];

function randomValue(type: FieldType, pick: (below: number) => number, fds: number): unknown {
  const str = (): string => Array.from({ length: pick(12) }, () => alphabet[pick(alphabet.length)]).join('');
  switch (type) {
    case 'u32':
      return pick(3) === 0 ? 0xffffffff : pick(0x7fffffff);
    case 'i32':
      return pick(0x7fffffff) - 0x40000000;
    case 'u64':
      return (BigInt(pick(0x7fffffff)) << 33n) | BigInt(pick(0x7fffffff));
    case 'fd':
      return fds === 0 || pick(4) === 0 ? NO_FD : pick(fds);
    case 'str':
      return str();
    case 'blob':
      return Buffer.from(Array.from({ length: pick(40) }, () => pick(256)));
    case 'strv':
      return Array.from({ length: pick(6) }, str);
  }
}

function randomPlan(seed: number): { ops: Op[]; fds: number } {
  const pick = random(seed);
  const names = Object.keys(planOps) as OpName[];
  const fds = pick(201);
  const ops = Array.from({ length: pick(30) }, () => {
    const name = names[pick(names.length)] ?? 'setsid';
    const fields = Object.entries(planOps[name].fields) as [string, FieldType][];
    return {
      op: name,
      ...Object.fromEntries(fields.map(([field, type]) => [field, randomValue(type, pick, fds)])),
    } as unknown as Op;
  });
  return { ops, fds };
}

test('decodePlan gives back what encodePlan was given, for any operations', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const { ops, fds } = randomPlan(seed);
    const bytes = encodePlan(ops, fds);
    const decoded = decodePlan(bytes);
    assert.deepEqual(decoded, { ops, fdCount: fds }, `seed ${seed}`);
    assert.ok(encodePlan(decoded.ops, decoded.fdCount).equals(bytes), `seed ${seed}`);
  }
});

test('decodePlan and printPlan of damaged Plans fail as invalid or give a Plan that encodes to the same bytes', () => {
  let refused = 0;
  for (let seed = 1; seed <= 2000; seed++) {
    const pick = random(seed);
    const { ops, fds } = randomPlan(1 + (seed % 50));
    let bytes = Buffer.from(encodePlan(ops, fds));
    for (let count = 1 + pick(3); count > 0; count--) bytes[pick(bytes.length)] = pick(256);
    if (pick(4) === 0) bytes = bytes.subarray(0, pick(bytes.length));
    try {
      const decoded = decodePlan(bytes);
      assert.ok(encodePlan(decoded.ops, decoded.fdCount).equals(bytes), `seed ${seed}`);
      assert.equal(printPlan(bytes).split('\n').length, decoded.ops.length + 2);
    } catch (error) {
      if (!isKind(error, 'invalid')) throw error;
      refused++;
    }
  }
  assert.ok(refused > 500);
});

test('decodePlan says where a Plan is wrong', () => {
  const good = encodePlan([{ op: 'hostname', name: 'web' }], 0);
  const broken = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(good);
    change(bytes);
    return bytes;
  };
  const cases: [Buffer, RegExp][] = [
    [Buffer.alloc(3), /header is cut short at byte 0/],
    [broken((b) => b.writeUInt8(0, 0)), /wrong magic/],
    [broken((b) => b.writeUInt32LE(9, 4)), /version 9 instead of 1/],
    [broken((b) => b.writeUInt32LE(9, 8)), /a length of 9 instead of 32/],
    [broken((b) => b.writeUInt32LE(201, 12)), /201 descriptors/],
    [broken((b) => b.writeUInt16LE(999, 16)), /op 0: unknown code 999 at byte 16/],
    [broken((b) => b.writeUInt8(1, 18)), /op 0 \(hostname\): reserved bits/],
    [broken((b) => b.writeUInt32LE(99, 20)), /op 0 \(hostname\): its payload crosses the end/],
    [broken((b) => b.writeUInt32LE(4, 24)), /op 0 \(hostname\): name crosses the end/],
    [broken((b) => b.writeUInt32LE(2, 24)), /op 0 \(hostname\): name does not end in a NUL byte/],
    [broken((b) => b.writeUInt8(0, 28)), /op 0 \(hostname\): NUL byte in name/],
    [broken((b) => b.writeUInt8(0xff, 28)), /op 0 \(hostname\): name is not UTF-8/],
  ];
  for (const [bytes, message] of cases) assert.throws(() => decodePlan(bytes), message);
  const table = Buffer.from(encodePlan([{ op: 'rootfs', fd: 0 }], 1));
  table.writeUInt32LE(0, 12);
  assert.throws(() => decodePlan(table), /fd names descriptor 0 of 0/);
});

test('printPlan reads as system calls with flags by name, one line per operation, secrets left out', () => {
  const ops: Op[] = [
    { op: 'stdio', mode: planConstants.STDIO_PTY, stdin: 1, once: 0, in: NO_FD, out: NO_FD, err: NO_FD },
    { op: 'clone', flags: 0x20000 | 0x20000000, cgroup: 0 },
    { op: 'root', fd: 1, at: '/run/tare/root', propagation: 0x80000 | 0x4000 },
    {
      op: 'mountFs',
      type: 'proc',
      source: 'proc',
      options: ['hidepid=2'],
      attrs: 0xe,
      target: '/proc',
      mkdir: 0o755,
      flags: 1,
      propagation: 0,
    },
    {
      op: 'mountFd',
      fd: 1,
      target: '/data',
      set: 1,
      clear: 0x70,
      recursive: 1,
      propagation: 0x40000,
      kind: 1,
      flags: 4,
    },
    { op: 'rlimit', resource: 7, soft: 1024, hard: 0xffffffffffffffffn },
    { op: 'caps', effective: 0x21, permitted: 0x21, inheritable: 0, ambient: 1n << 60n },
    { op: 'user', uid: 1, gid: 2, groups: Buffer.from(Uint32Array.of(3, 4).buffer), umask: 0o22 },
    { op: 'seccomp', flags: 2, filter: Buffer.alloc(80) },
    { op: 'barrier', kind: 2 },
    { op: 'exec', candidates: ['/bin/sh'], argv: ['sh', '-c', 'echo "x"\n'], env: ['TOKEN=secret', 'odd'], init: 0 },
  ];
  const bytes = encodePlan(ops, 2);
  assert.deepEqual(printPlan(bytes).split('\n'), [
    `plan: 11 operations, 2 descriptors, ${bytes.length} bytes`,
    '   0  stdio(mode=STDIO_PTY, stdin=1, once=0, in=none, out=none, err=none)',
    '   1  clone3(CLONE_NEWNS|CLONE_NEWPID, cgroup=fd 0)',
    '   2  mount_setattr("/", MS_REC|MS_SLAVE); move_mount(fd 1, "/run/tare/root")',
    '   3  fsopen("proc", source="proc"); fsconfig("hidepid=2"); fsmount(MOUNT_ATTR_NOSUID|MOUNT_ATTR_NODEV|MOUNT_ATTR_NOEXEC); move_mount("/proc", mkdir=0755, MOUNT_OPTIONAL)',
    '   4  mount_setattr(fd 1, set=MOUNT_ATTR_RDONLY, clear=MOUNT_ATTR__ATIME, AT_RECURSIVE); move_mount(fd 1, "/data", KIND_DIRECTORY, MOUNT_NOFOLLOW, MS_PRIVATE)',
    '   5  setrlimit(RLIMIT_NOFILE, 1024, unlimited)',
    '   6  capset(effective=CAP_CHOWN|CAP_KILL, permitted=CAP_CHOWN|CAP_KILL, inheritable=0, ambient=0x1000000000000000)',
    '   7  setgroups([3, 4]); setresgid(2); setresuid(1); umask(022)',
    '   8  seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, 10 instructions)',
    '   9  barrier(BARRIER_START)',
    String.raw`  10  exec(candidates=["/bin/sh"], argv=["sh", "-c", "echo \"x\"\n"], env=["TOKEN=…", "odd"], init=0)`,
    '',
  ]);
  assert.match(printPlan(bytes, { environment: true }), /TOKEN=secret/);
});
