import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capabilityMask } from '../../spec/capabilities.ts';
import { parseSeccompProfile } from './profile-json.ts';

const context = { capabilities: capabilityMask(['CAP_SYS_ADMIN']), native: 'x64', kernel: '6.1.0-13-amd64' } as const;
const names = (rules: readonly object[], given: Parameters<typeof parseSeccompProfile>[1] = context): string[] =>
  (parseSeccompProfile({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: rules }, given).syscalls ?? []).flatMap((rule) => [
    ...rule.names,
  ]);
const rule = (name: string, conditions: object): object => ({ names: [name], action: 'SCMP_ACT_ALLOW', ...conditions });

test('parseSeccompProfile keeps the rules whose includes and excludes hold for this process and machine', () => {
  const rules = [
    rule('a', { includes: { caps: ['CAP_SYS_ADMIN'] } }),
    rule('b', { includes: { caps: ['CAP_SYS_ADMIN', 'CAP_BPF'] } }),
    rule('c', { excludes: { caps: ['CAP_SYS_ADMIN'] } }),
    rule('d', { includes: { arches: ['amd64', 'x32'] } }),
    rule('e', { includes: { arches: ['s390x'] } }),
    rule('f', { excludes: { arches: ['amd64'] } }),
    rule('g', { includes: { minKernel: '4.8' } }),
    rule('h', { includes: { minKernel: '6.2' } }),
    rule('i', { excludes: { minKernel: '6.1' } }),
    rule('j', { includes: null, excludes: {}, args: null }),
  ];
  assert.deepEqual(names(rules), ['a', 'd', 'g', 'j']);
  assert.deepEqual(names(rules, { capabilities: 0n, native: 'arm64', kernel: '7.0' }), ['c', 'f', 'g', 'h', 'j']);
});

test('parseSeccompProfile reads errno names, the old single name, and archMap for this machine', () => {
  const profile = parseSeccompProfile(
    {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 1,
      defaultErrno: 'ENOSYS',
      archMap: [
        { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
        { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] },
      ],
      syscalls: [{ name: 'acct', action: 'SCMP_ACT_ERRNO', errno: 'EPERM' }],
    },
    context,
  );
  assert.equal(profile.defaultErrnoRet, 38);
  assert.deepEqual(profile.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86']);
  assert.deepEqual(profile.syscalls, [{ names: ['acct'], action: 'SCMP_ACT_ERRNO', errnoRet: 1, args: [] }]);
});

test('parseSeccompProfile: invalid for what is no profile', () => {
  const bad: unknown[] = [
    null,
    [],
    {},
    { defaultAction: 'ALLOW' },
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls: {} },
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: [], action: 'SCMP_ACT_ERRNO' }] },
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['read'], name: 'write', action: 'SCMP_ACT_ERRNO' }] },
    { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', errno: 'ENOPE' }] },
    {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }],
    },
    {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: -1, op: 'SCMP_CMP_EQ' }] }],
    },
    {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', includes: { minKernel: 'new' } }],
    },
    {
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: ['SCMP_ARCH_X86'],
      archMap: [{ architecture: 'SCMP_ARCH_X86_64' }],
    },
  ];
  for (const json of bad)
    assert.throws(() => parseSeccompProfile(json, context), { kind: 'invalid' }, JSON.stringify(json));
});
