import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allCapabilities, capabilityMask, defaultCapabilities } from '../../spec/capabilities.ts';
import type { LinuxSeccomp, SeccompSyscall } from '../../spec/runtime-types.ts';
import { buildLibseccomp, debianProfile } from './_libseccomp.ts';
import { interpret } from './bpf-interpreter.ts';
import { compileDefaultProfile } from './compile-default.ts';
import { compileProfile } from './compile-profile.ts';
import { decisiveCapabilities } from './default-profile.ts';
import { parseSeccompProfile } from './profile-json.ts';

const X86_64 = 0xc000003e;
const I386 = 0x40000003;
const ARM = 0x40000028;
const X32_BIT = 0x40000000;
const NUMBERS = 1024;

/** Values at and around every condition of the profile, in 32 and 64 bits. */
const interesting = [
  0, 1, 7, 8, 9, 10, 15, 16, 17, 0x1ffff, 0x20000, 0x20007, 0x20008, 0x20009, 0x7fffffff, 0xfffffffe, 0xffffffff,
]
  .map(BigInt)
  .flatMap((value) => [value, value | (1n << 32n), value | (0xffffffffn << 32n)]);

interface DebianRule extends SeccompSyscall {
  readonly includes?: { readonly caps?: readonly string[]; readonly arches?: readonly string[] };
  readonly excludes?: { readonly caps?: readonly string[]; readonly arches?: readonly string[] };
}

/** What containers-common's Go code makes of its JSON for amd64, written anew so that it does not share our reader's mistakes. */
function expandAsGo(json: unknown, capabilities: readonly string[]): LinuxSeccomp {
  const profile = json as {
    defaultAction: LinuxSeccomp['defaultAction'];
    defaultErrnoRet: number;
    archMap: { architecture: string; subArchitectures: string[] }[];
    syscalls: DebianRule[];
  };
  const map = profile.archMap.find(({ architecture }) => architecture === 'SCMP_ARCH_X86_64');
  const syscalls = profile.syscalls.filter(({ includes = {}, excludes = {} }) => {
    if (excludes.arches?.includes('amd64') === true) return false;
    if (excludes.caps?.some((cap) => capabilities.includes(cap)) === true) return false;
    if ((includes.arches?.length ?? 0) > 0 && includes.arches?.includes('amd64') !== true) return false;
    return includes.caps?.every((cap) => capabilities.includes(cap)) ?? true;
  });
  return {
    defaultAction: profile.defaultAction,
    defaultErrnoRet: profile.defaultErrnoRet,
    architectures: ['SCMP_ARCH_X86_64', ...(map?.subArchitectures ?? [])],
    syscalls: syscalls.map((rule) => ({ ...rule, args: rule.args ?? [] })),
  };
}

/** Compares two filters on every number of every architecture; where either looks at arguments, with every pair of interesting values. */
function assertEqualFilters(ours: Uint8Array, theirs: Uint8Array, what: string): number {
  let compared = 0;
  const compare = (arch: number, nr: number, args: readonly bigint[]): boolean => {
    const a = interpret(ours, { arch, nr, args });
    const b = interpret(theirs, { arch, nr, args });
    compared++;
    if (a.value !== b.value) {
      assert.fail(
        `${what}: call ${nr} of 0x${arch.toString(16)} (${args.join(', ')}): ours 0x${a.value.toString(16)}, theirs 0x${b.value.toString(16)}`,
      );
    }
    return a.usedArgs || b.usedArgs;
  };
  const targets: [arch: number, first: number][] = [
    [X86_64, 0],
    [X86_64, X32_BIT],
    [I386, 0],
  ];
  for (const [arch, first] of targets) {
    for (let nr = first; nr < first + NUMBERS; nr++) {
      if (!compare(arch, nr, [])) continue;
      for (const first0 of interesting) {
        for (const third of interesting) compare(arch, nr, [first0, 5n, third, 1n]);
      }
    }
  }
  for (const nr of [0x3fffffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]) compare(X86_64, nr, []);
  compare(I386, 0xffffffff, []);
  compare(ARM, 1, []);
  compare(0, 1, []);
  return compared;
}

const debian = debianProfile();
const reference =
  process.arch === 'x64' && debian !== undefined ? buildLibseccomp() : 'it needs x86-64 and containers-common';
const skip = typeof reference === 'string' ? reference : false;

const sets: [name: string, capabilities: readonly string[]][] = [
  ['default', defaultCapabilities],
  ['none', []],
  ['all', allCapabilities],
  ...allCapabilities.map((name): [string, readonly string[]] => [name, [name]]),
];

test(
  'the default profile decides every call as Debian’s profile compiled by libseccomp does, for every capability set',
  { skip },
  () => {
    assert.ok(typeof reference !== 'string');
    using _program = reference;
    // Most capabilities change nothing: a pair of programs seen before need not run again.
    const seen = new Set<string>();
    const assertEqualOnce = (ours: Uint8Array, theirs: Uint8Array, what: string): void => {
      const key = `${Buffer.from(ours).toString('base64')} ${Buffer.from(theirs).toString('base64')}`;
      if (!seen.has(key)) assert.ok(assertEqualFilters(ours, theirs, what) > 3 * NUMBERS);
      seen.add(key);
    };
    for (const [name, capabilities] of sets) {
      const ours = compileDefaultProfile(capabilityMask(capabilities), 'x64');
      const theirs = reference.compile(expandAsGo(debian, capabilities));
      assertEqualOnce(ours, theirs, name);
      const read = compileProfile(
        parseSeccompProfile(debian, { capabilities: capabilityMask(capabilities), native: 'x64' }),
        'x64',
      );
      assertEqualOnce(read, theirs, `${name}, our reading of the JSON`);
    }
    for (const [name, profile] of ownProfiles)
      assertEqualFilters(compileProfile(profile, 'x64'), reference.compile(profile), name);
  },
);

const condition = (
  op: 'EQ' | 'NE' | 'LT' | 'LE' | 'GT' | 'GE' | 'MASKED_EQ',
  value: bigint,
  valueTwo = 0n,
): LinuxSeccomp => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  syscalls: [
    {
      names: ['mount', 'socket', 'shmget'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 7,
      args: [{ index: 2, op: `SCMP_CMP_${op}`, value, valueTwo }],
    },
  ],
});

/** Profiles that go where the default one does not: every operator, other actions, the native architecture alone. */
const ownProfiles: [name: string, profile: LinuxSeccomp][] = [
  ...(['EQ', 'NE', 'LT', 'LE', 'GT', 'GE'] as const).flatMap((op) =>
    [9n, 0x100000009n, 0xffffffffn].map((value): [string, LinuxSeccomp] => [`${op} ${value}`, condition(op, value)]),
  ),
  ['MASKED_EQ low', condition('MASKED_EQ', 0xfn, 9n)],
  ['MASKED_EQ high', condition('MASKED_EQ', 0x1_0000_000fn, 0x1_0000_0009n)],
  // The default is ENOSYS already, so that our answer to calls newer than the profile is the same.
  [
    'native only',
    {
      defaultAction: 'SCMP_ACT_ERRNO',
      defaultErrnoRet: 38,
      syscalls: [{ names: ['read', 'write', 'no_such_call'], action: 'SCMP_ACT_ALLOW' }],
    },
  ],
  [
    'actions',
    {
      defaultAction: 'SCMP_ACT_LOG',
      architectures: ['SCMP_ARCH_X86_64'],
      syscalls: [
        { names: ['read'], action: 'SCMP_ACT_TRAP' },
        { names: ['write'], action: 'SCMP_ACT_TRACE', errnoRet: 42 },
        { names: ['open'], action: 'SCMP_ACT_KILL' },
        { names: ['close'], action: 'SCMP_ACT_KILL_PROCESS' },
        { names: ['stat'], action: 'SCMP_ACT_ALLOW' },
        { names: ['stat'], action: 'SCMP_ACT_TRAP' },
        {
          names: ['mount'],
          action: 'SCMP_ACT_TRAP',
          args: [
            { index: 0, value: 1, op: 'SCMP_CMP_EQ' },
            { index: 0, value: 8, op: 'SCMP_CMP_EQ' },
          ],
        },
      ],
    },
  ],
];

test('decisiveCapabilities are exactly those whose presence changes the filter', () => {
  const none = Buffer.from(compileDefaultProfile(0n, 'x64'));
  const changing = allCapabilities.filter((name) => !none.equals(compileDefaultProfile(capabilityMask([name]), 'x64')));
  assert.deepEqual(changing.toSorted(), decisiveCapabilities.toSorted());
});

test('the default profile finds its verdict for any call within 16 instructions when no argument matters', () => {
  const filter = compileDefaultProfile(capabilityMask(defaultCapabilities), 'x64');
  for (let nr = 0; nr < NUMBERS; nr++) {
    const { usedArgs, steps } = interpret(filter, { arch: X86_64, nr });
    if (!usedArgs) assert.ok(steps <= 16, `call ${nr} takes ${steps}`);
  }
});
