import type { NativeArch } from './arch.ts';
import { compileProfile } from './compile-profile.ts';
import { defaultProfile } from './default-profile.ts';

/** The default profile for these capabilities, compiled. */
export function compileDefaultProfile(capabilities: bigint, native: NativeArch): Uint8Array {
  return compileProfile(defaultProfile(capabilities, native), native);
}
