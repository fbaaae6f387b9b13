import type { LinuxSeccomp } from '../../spec/runtime-types.ts';
import type { NativeArch } from './arch.ts';
import { defaultFilter } from './default-filter.ts';

/** Where filters come from. */
export interface PrepareOptions {
  readonly native: NativeArch;
  /** An existing directory that only its owner can write. */
  readonly cacheDir: string;
}

/**
 * Makes ready what `compile` will ask for: the filter of `profile` (as `seccompOf` says it) for these capabilities. The result answers at once, for that
 * profile only.
 *
 * Errors: as `compileProfile`.
 */
export async function prepareSeccomp(
  profile: 'none' | 'default' | LinuxSeccomp,
  capabilities: bigint,
  options: PrepareOptions,
): Promise<() => Uint8Array> {
  const filter = await filterOf(profile, capabilities, options);
  return () => filter;
}

async function filterOf(
  profile: 'none' | 'default' | LinuxSeccomp,
  capabilities: bigint,
  options: PrepareOptions,
): Promise<Uint8Array> {
  if (profile === 'none') return new Uint8Array(0);
  if (profile === 'default') return defaultFilter(capabilities, options.native, options.cacheDir);
  const { compileProfile } = await import('./compile-profile.ts');
  return compileProfile(profile, options.native);
}
