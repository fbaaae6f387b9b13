import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { encodeClientFrame, PROTOCOL_VERSION } from '../../src/sys/monitor/frames.ts';
import { connectUnix, memfdSealed, recvFds, sendFds, socketpair, spawnHelper } from '../../src/sys/mod.ts';
import { type FieldType, planOps } from '../../src/sys/plan/schema.ts';
import { Bench, cannotRun, type ContainerOptions, isAlive, until } from './container.ts';

const letters: Readonly<Record<FieldType, string>> = {
  u32: 'u',
  i32: 'i',
  u64: 'U',
  str: 's',
  blob: 'b',
  strv: 'v',
  fd: 'f',
};

describe('helper: the Plan reader', () => {
  it('the target of the fuzzer goes with it', () => {
    const root = join(import.meta.dirname, '../..');
    const include = ['build/gen', 'native', 'native/helper'].map((dir) => `-I${join(root, dir)}`);
    const flags = ['-std=c17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-fsyntax-only', ...include];
    const target = join(import.meta.dirname, 'fuzz-target.c');
    const { status, stderr } = spawnSync(process.env['CC'] ?? 'cc', [...flags, target], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });

  it('plan-layout.h says what schema.ts says', () => {
    const text = readFileSync(join(import.meta.dirname, '../../native/helper/plan-layout.h'), 'utf8');
    const inC = [...text.matchAll(/X\(OP_(\w+), "(\w*)"\)/g)].map((match) => `${match[1]} ${match[2]}`);
    const inSchema = Object.entries(planOps).map(([name, op]) => {
      const fields = Object.values(op.fields) as FieldType[];
      return `${name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()} ${fields.map((type) => letters[type]).join('')}`;
    });
    assert.deepEqual(inC.sort(), inSchema.sort());
  });

  describe('refuses a malformed Plan before doing anything', { skip: cannotRun() ?? false }, () => {
    const u32 = (at: number, value: number) => (plan: Buffer) => {
      const copy = Buffer.from(plan);
      copy.writeUInt32LE(value, at);
      return copy;
    };
    const cases: [string, Partial<ContainerOptions>][] = [
      ['wrong magic', { spoil: u32(0, 1) }],
      ['wrong version', { spoil: u32(4, 2) }],
      ['wrong size', { spoil: u32(8, 64) }],
      ['wrong number of descriptors', { spoil: u32(12, 1) }],
      ['too many descriptors', { spoil: u32(12, 201) }],
      ['truncated', { spoil: (plan) => plan.subarray(0, plan.length - 1) }],
      ['unknown op', { spoil: (plan) => (plan.writeUInt16LE(99, 16), plan) }],
      ['reserved bits', { spoil: (plan) => (plan.writeUInt16LE(1, 18), plan) }],
      ['payload longer than its fields', { spoil: (plan) => (plan.writeUInt32LE(16, 20), plan) }],
      ['descriptor outside the table', { spoil: (plan) => (plan.writeUInt32LE(150, 24), plan) }],
      ['header only', { spoil: (plan) => u32(8, 16)(plan.subarray(0, 16)) }],
      ['two exec ops', { last: [{ op: 'exec', candidates: ['/bin/true'], argv: ['true'], env: [], init: 0 }] }],
      ['groups of a broken size', { last: [{ op: 'user', uid: 0, gid: 0, groups: new Uint8Array(3), umask: 0 }] }],
      ['an empty filter', { last: [{ op: 'seccomp', flags: 0, filter: new Uint8Array() }] }],
      ['an unknown barrier', { last: [{ op: 'barrier', kind: 9 }] }],
      ['a setting given twice', { settings: () => [{ op: 'autostart', now: 1 }] }],
      [
        'enter in a container Plan',
        { settings: (fd) => [{ op: 'enter', pidfd: fd(0), flags: 0, cgroup: 0xffffffff }] },
      ],
    ];
    for (const [what, options] of cases) {
      it(what, async () => {
        using bench = new Bench();
        const c = bench.container({ argv: ['/bin/true'], ...options });
        const error = await c.client.failed;
        assert.equal(error.step, undefined);
        assert.ok(error.errno === 22 || error.errno === 7, String(error.errno));
        await c.left();
        assert.deepEqual(c.phases(), ['phase.creating']);
        assert.ok(!c.has('s') && !c.has('log'));
      });
    }
  });

  describe('a monitor without a Plan', { skip: cannotRun() ?? false }, () => {
    const cases: [string, (frame: typeof encodeClientFrame) => { bytes: Uint8Array; withFd?: boolean } | undefined][] =
      [
        ['leaves when its starter is gone', () => undefined],
        [
          'leaves when its starter is gone, whatever else it said',
          (frame) => ({ bytes: frame({ type: 'take', on: 1 }) }),
        ],
        [
          'ends the connection that gives a Plan without its descriptor',
          (frame) => ({ bytes: frame({ type: 'plan' }) }),
        ],
        [
          'does not take half a frame for a Plan',
          (frame) => ({ bytes: frame({ type: 'plan' }).subarray(0, 4), withFd: true }),
        ],
      ];
    for (const [what, says] of cases) {
      it(what, async () => {
        const [ours, theirs] = socketpair();
        const message = says(encodeClientFrame);
        using plan = memfdSealed('plan', Buffer.alloc(64));
        if (message !== undefined) sendFds(ours, message.bytes, message.withFd === true ? [plan] : []);
        const pid = spawnHelper('monitor', [theirs]);
        theirs.close();
        ours.close();
        await until(() => !isAlive(pid), 5000, 'it has left');
      });
    }

    it('takes none from a socket', async () => {
      using bench = new Bench();
      const c = bench.container({ argv: ['/bin/sleep', '1000'] });
      await c.client.started;
      using raw = connectUnix(join(c.dir, 's'));
      using plan = memfdSealed('plan', Buffer.alloc(64));
      sendFds(raw, encodeClientFrame({ type: 'hello', version: PROTOCOL_VERSION }));
      sendFds(raw, encodeClientFrame({ type: 'plan' }), [plan]);
      let length: number;
      do length = recvFds(raw, 4096, 0).bytes.length;
      while (length > 0);
      using again = await c.connect();
      assert.equal((await again.hello).phase, 'running');
    });
  });
});
