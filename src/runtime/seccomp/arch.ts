import { TareError } from '../../base/errors.ts';
import { parseSyscalls } from './syscall-table.ts';
import { armSyscalls } from './syscalls/arm.ts';
import { arm64Syscalls } from './syscalls/arm64.ts';
import { i386Syscalls } from './syscalls/i386.ts';
import { recentSyscalls } from './syscalls/recent.ts';
import { x32Syscalls } from './syscalls/x32.ts';
import { x8664Syscalls } from './syscalls/x86-64.ts';

/** A machine this runs on. */
export type NativeArch = 'x64' | 'arm64';

/** One numbering of system calls a filter can meet. */
export interface SyscallArch {
  /** As in the OCI spec. */
  readonly name: string;
  /** AUDIT_ARCH_*: what the kernel says in seccomp_data.arch. */
  readonly audit: number;
  /** Arguments are compared in 64 bits; else, like libseccomp, in their lower 32. */
  readonly wide: boolean;
  /** Added to every number: x32 shares its audit value with x86-64. */
  readonly base: number;
  /** socketcall and ipc carry several calls in one. */
  readonly multiplexed: boolean;
  readonly numbers: ReadonlyMap<string, number>;
}

/** The bit that tells an x32 call from an x86-64 one. */
export const X32_BIT = 0x40000000;

const AUDIT_X86_64 = 0xc000003e;
const texts: Readonly<
  Record<string, readonly [audit: number, wide: boolean, base: number, multiplexed: boolean, table: string]>
> = {
  SCMP_ARCH_X86_64: [AUDIT_X86_64, true, 0, false, x8664Syscalls],
  SCMP_ARCH_X86: [0x40000003, false, 0, true, i386Syscalls],
  SCMP_ARCH_X32: [AUDIT_X86_64, false, X32_BIT, false, x32Syscalls],
  SCMP_ARCH_AARCH64: [0xc00000b7, true, 0, false, arm64Syscalls],
  SCMP_ARCH_ARM: [0x40000028, false, 0, false, armSyscalls],
};

/** Architectures of other machines: valid in a profile, never met here. */
const foreign = new Set(
  'MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB'
    .split(' ')
    .map((name) => `SCMP_ARCH_${name}`),
);

const made = new Map<string, SyscallArch>();

/** An architecture by its OCI name; undefined for one of another kind of machine. Errors: `invalid` for a name that is none. */
export function syscallArch(name: string): SyscallArch | undefined {
  const known = made.get(name);
  if (known !== undefined) return known;
  const parts = Object.hasOwn(texts, name) ? texts[name] : undefined;
  if (parts === undefined) {
    if (foreign.has(name)) return undefined;
    throw new TareError(
      'invalid',
      `Cannot use seccomp architecture ${JSON.stringify(name.slice(0, 40))}: there is no such architecture`,
    );
  }
  const [audit, wide, base, multiplexed, table] = parts;
  const arch: SyscallArch = {
    name,
    audit,
    wide,
    base,
    multiplexed,
    numbers: parseSyscalls(`${table} ${recentSyscalls}`, base),
  };
  made.set(name, arch);
  return arch;
}

/** The OCI name of a machine's own architecture. */
export function nativeArchName(native: NativeArch): string {
  return native === 'x64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64';
}

/** A machine's own architecture and those of the programs it can run besides. */
export function archFamily(native: NativeArch): readonly string[] {
  return native === 'x64'
    ? ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']
    : ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'];
}
