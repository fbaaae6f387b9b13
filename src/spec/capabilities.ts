import { TareError } from '../base/errors.ts';

/** Capability names without the prefix; the index is the kernel's number (include/uapi/linux/capability.h). */
const names =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'.split(
    ' ',
  );

const bits: ReadonlyMap<string, number> = new Map(names.map((name, bit) => [`CAP_${name}`, bit]));

/** Every capability Linux has, "CAP_CHOWN" first; the index is the kernel's number. */
export const allCapabilities: readonly string[] = names.map((name) => `CAP_${name}`);

/** What Docker gives a container (14 capabilities). Podman's default is a subset: without AUDIT_WRITE, MKNOD and NET_RAW. */
export const defaultCapabilities: readonly string[] =
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE'
    .split(' ')
    .map((name) => `CAP_${name}`);

/** The kernel's number of "CAP_KILL"; undefined for a name that is none. */
export function capabilityBit(name: string): number | undefined {
  return bits.get(name);
}

/** A bit mask, bit n for capability n. Errors: `invalid` for an unknown name. */
export function capabilityMask(capabilities: readonly string[]): bigint {
  let mask = 0n;
  for (const name of capabilities) {
    const bit = bits.get(name);
    if (bit === undefined) throw unknown(name);
    mask |= 1n << BigInt(bit);
  }
  return mask;
}

/** The names in a bit mask, by number; bits beyond the last known capability are left out. */
export function capabilityNames(mask: bigint): string[] {
  return allCapabilities.filter((_, bit) => ((mask >> BigInt(bit)) & 1n) === 1n);
}

/** "kill", "CAP_KILL" and "cap_kill" are CAP_KILL. Errors: `invalid` for an unknown name. */
export function normalCapability(text: string): string {
  const upper = text.toUpperCase();
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!bits.has(name)) throw unknown(text);
  return name;
}

/**
 * The set that `--cap-add` and `--cap-drop` make of `base`, ordered by number: adding ALL starts from every capability and
 * takes the dropped ones away; dropping ALL starts from none and adds the added ones; naming one both ways is an error (as in Podman).
 *
 * Errors: `invalid` for an unknown name, the same one in both lists, or ALL in both.
 */
export function tweakCapabilities(base: readonly string[], add: readonly string[], drop: readonly string[]): string[] {
  const isAll = (text: string): boolean => /^(cap_)?all$/i.test(text);
  const addAll = add.some(isAll);
  const dropAll = drop.some(isAll);
  if (addAll && dropAll) throw new TareError('invalid', 'Cannot use capabilities: ALL is both added and dropped');
  const added = add.filter((text) => !isAll(text)).map(normalCapability);
  const dropped = drop.filter((text) => !isAll(text)).map(normalCapability);
  const both = added.find((name) => dropped.includes(name));
  if (both !== undefined) throw new TareError('invalid', `Cannot use capability ${both}: it is both added and dropped`);
  const set = new Set(addAll ? allCapabilities : dropAll ? [] : base);
  for (const name of added) set.add(name);
  for (const name of dropped) set.delete(name);
  return allCapabilities.filter((name) => set.has(name));
}

function unknown(name: string): TareError {
  return new TareError(
    'invalid',
    `Cannot use capability ${JSON.stringify(name.slice(0, 80))}: there is no such capability`,
  );
}
