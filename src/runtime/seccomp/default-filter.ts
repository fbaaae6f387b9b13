import { readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { capabilityMask } from '../../spec/capabilities.ts';
import type { NativeArch } from './arch.ts';

/** Changes with every change of the default profile or the compiler: a cached filter of another version is never used. */
const FILTER_VERSION = 2;
/** "TSCF". */
const MAGIC = 0x46435354;
const HEADER_BYTES = 16;
const INSTRUCTION_BYTES = 8;

/** The capabilities the default profile asks for (`decisiveCapabilities`, said here so that a start need not load it). */
const DECISIVE = capabilityMask(
  'DAC_READ_SEARCH SYS_ADMIN SYS_CHROOT SYS_MODULE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG AUDIT_WRITE'
    .split(' ')
    .map((name) => `CAP_${name}`),
);

/** The file of the default filter for these capabilities, inside the cache directory. */
export function defaultFilterName(capabilities: bigint, native: NativeArch): string {
  return `seccomp-${FILTER_VERSION}-${native}-${(capabilities & DECISIVE).toString(16)}`;
}

/**
 * The default profile compiled for a process with this bounding set (a bit mask), from the cache directory when it is there and whole; otherwise it is
 * compiled (the compiler is loaded only then) and left there for the next time. A cache that cannot be written costs time, nothing else. The directory
 * must be writable by its owner alone: the check sum finds accidents, not forgeries.
 */
export async function defaultFilter(capabilities: bigint, native: NativeArch, cacheDir: string): Promise<Uint8Array> {
  const cached = cachedDefaultFilter(capabilities, native, cacheDir);
  if (cached !== undefined) return cached;
  const { compileDefaultProfile } = await import('./compile-default.ts');
  const filter = compileDefaultProfile(capabilities, native);
  store(`${cacheDir}/${defaultFilterName(capabilities, native)}`, defaultFilterName(capabilities, native), filter);
  return filter;
}

/** The cached default filter; undefined when it is missing or damaged. */
export function cachedDefaultFilter(
  capabilities: bigint,
  native: NativeArch,
  cacheDir: string,
): Uint8Array | undefined {
  const name = defaultFilterName(capabilities, native);
  let bytes: Buffer;
  try {
    bytes = readFileSync(`${cacheDir}/${name}`);
  } catch {
    return undefined;
  }
  if (bytes.length <= HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC || bytes.readUInt32LE(4) !== FILTER_VERSION)
    return undefined;
  const filter = bytes.subarray(HEADER_BYTES);
  const isWhole =
    filter.length === bytes.readUInt32LE(8) &&
    filter.length % INSTRUCTION_BYTES === 0 &&
    checksum(name, filter) === bytes.readUInt32LE(12);
  return isWhole ? filter : undefined;
}

function store(path: string, name: string, filter: Uint8Array): void {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(FILTER_VERSION, 4);
  header.writeUInt32LE(filter.length, 8);
  header.writeUInt32LE(checksum(name, filter), 12);
  const temp = `${path}.tmp-${process.pid}`;
  try {
    writeFileSync(temp, Buffer.concat([header, filter]), { mode: 0o600, flag: 'wx' });
    renameSync(temp, path);
  } catch {
    try {
      unlinkSync(temp);
    } catch {
      // It was never made.
    }
  }
}

/** FNV-1a over the name (which says what the filter is for) and the program, word by word: it is part of every start, in code that never gets warm. */
function checksum(name: string, filter: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  const words = new DataView(filter.buffer, filter.byteOffset, filter.length);
  for (let at = 0; at + 4 <= filter.length; at += 4) hash = Math.imul(hash ^ words.getInt32(at, true), 0x01000193);
  return hash >>> 0;
}
