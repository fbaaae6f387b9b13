import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LinuxSeccomp, SeccompSyscall } from '../../spec/runtime-types.ts';
import { interpret } from './bpf-interpreter.ts';
import { compileProfile } from './compile-profile.ts';

const X86_64 = 0xc000003e;
const I386 = 0x40000003;
const ARM64 = 0xc00000b7;
const ERRNO = 0x00050000;
const ALLOW = 0x7fff0000;
const ENOSYS = 38;

const allow = (...names: string[]): SeccompSyscall => ({ names, action: 'SCMP_ACT_ALLOW' });

test('compileProfile answers ENOSYS to calls newer than every one the profile names, and the default to older ones', () => {
  const profile: LinuxSeccomp = { defaultAction: 'SCMP_ACT_ERRNO', syscalls: [allow('read', 'statx')] };
  const filter = compileProfile(profile, 'x64');
  const verdict = (nr: number): number => interpret(filter, { arch: X86_64, nr }).value;
  assert.equal(verdict(0), ALLOW);
  assert.equal(verdict(1), ERRNO | 1);
  assert.equal(verdict(332), ALLOW);
  assert.equal(verdict(333), ERRNO | ENOSYS);
  assert.equal(verdict(1000), ERRNO | ENOSYS);
});

test('compileProfile kills calls of an architecture the profile does not name, x32 included, and lets a tracer skip with -1', () => {
  const filter = compileProfile({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [] }, 'x64');
  assert.equal(interpret(filter, { arch: X86_64, nr: 5000 }).value, ALLOW);
  assert.equal(interpret(filter, { arch: I386, nr: 1 }).value, 0);
  assert.equal(interpret(filter, { arch: X86_64, nr: 0x40000001 }).value, 0);
  assert.equal(interpret(filter, { arch: X86_64, nr: 0xffffffff }).value, ALLOW);
});

test('compileProfile covers arm programs on arm64 by their own numbers', () => {
  const filter = compileProfile(
    {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: ENOSYS,
      architectures: ['SCMP_ARCH_ARM'],
      syscalls: [allow('read', 'set_tls')],
    },
    'arm64',
  );
  assert.equal(interpret(filter, { arch: ARM64, nr: 63 }).value, ALLOW);
  assert.equal(interpret(filter, { arch: 0x40000028, nr: 3 }).value, ALLOW);
  assert.equal(interpret(filter, { arch: 0x40000028, nr: 0xf0005 }).value, ALLOW);
  assert.equal(interpret(filter, { arch: 0x40000028, nr: 63 }).value, ERRNO | ENOSYS);
});

test('compileProfile keeps jumps right in programs far longer than a conditional jump reaches', () => {
  const rules = Array.from({ length: 300 }, (_, value): SeccompSyscall => ({
    names: [value % 2 === 0 ? 'mount' : 'ioctl'],
    action: 'SCMP_ACT_ERRNO',
    errnoRet: 100 + value,
    args: [{ index: 1, value: value * 0x1_0000_0001, op: 'SCMP_CMP_EQ' }],
  }));
  const filter = compileProfile({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: rules }, 'x64');
  assert.ok(filter.length / 8 > 1000);
  for (let value = 0; value < 300; value++) {
    const args = [0n, BigInt(value) * 0x1_0000_0001n];
    assert.equal(
      interpret(filter, { arch: X86_64, nr: 165, args }).value,
      value % 2 === 0 ? ERRNO | (100 + value) : ALLOW,
    );
    assert.equal(
      interpret(filter, { arch: X86_64, nr: 16, args }).value,
      value % 2 === 1 ? ERRNO | (100 + value) : ALLOW,
    );
  }
});

test('compileProfile: exhausted above 4096 instructions', () => {
  const args = Array.from({ length: 1500 }, (_, value): SeccompSyscall => ({
    names: ['mount'],
    action: 'SCMP_ACT_ERRNO',
    errnoRet: value,
    args: [{ index: 0, value, op: 'SCMP_CMP_EQ' }],
  }));
  assert.throws(() => compileProfile({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: args }, 'x64'), {
    kind: 'exhausted',
    message: /4096/,
  });
});

test('compileProfile: NOTIFY is unsupported, an unknown architecture invalid, one of another machine skipped', () => {
  assert.throws(() => compileProfile({ defaultAction: 'SCMP_ACT_NOTIFY' }, 'x64'), { kind: 'unsupported' });
  assert.throws(
    () =>
      compileProfile(
        { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['read'], action: 'SCMP_ACT_NOTIFY' }] },
        'x64',
      ),
    { kind: 'unsupported' },
  );
  assert.throws(() => compileProfile({ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_Z80'] }, 'x64'), {
    kind: 'invalid',
  });
  const plain = compileProfile({ defaultAction: 'SCMP_ACT_ALLOW' }, 'x64');
  assert.deepEqual(
    compileProfile({ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_S390X'] }, 'x64'),
    plain,
  );
});

test('compileProfile: a rule without conditions beats those with some, and the first of several counts', () => {
  const profile: LinuxSeccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [
      { names: ['read'], action: 'SCMP_ACT_ERRNO', errnoRet: 5, args: [{ index: 0, value: 3, op: 'SCMP_CMP_EQ' }] },
      { names: ['read'], action: 'SCMP_ACT_ERRNO', errnoRet: 6 },
      { names: ['read'], action: 'SCMP_ACT_ERRNO', errnoRet: 7 },
    ],
  };
  const filter = compileProfile(profile, 'x64');
  assert.deepEqual(interpret(filter, { arch: X86_64, nr: 0, args: [3n] }), {
    value: ERRNO | 6,
    usedArgs: false,
    steps: interpret(filter, { arch: X86_64, nr: 0 }).steps,
  });
});
