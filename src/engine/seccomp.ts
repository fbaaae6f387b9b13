import { boundingMask, seccompOf, type SeccompCompiler } from '../runtime/compile/mod.ts';
import type { NativeArch } from '../runtime/seccomp/arch.ts';
import { prepareSeccomp } from '../runtime/seccomp/prepare.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import type { Engine } from './engine.ts';

/** Makes a container's filter ready for `compile`: from the cache for the default profile, compiled for others. Errors: invalid profile. */
export async function seccompFilter(engine: Engine, config: RuntimeConfig): Promise<SeccompCompiler> {
  const profile = seccompOf(config);
  if (profile === 'none' || config.process === undefined) return () => new Uint8Array(0);
  return prepareSeccomp(profile, boundingMask(config.process), { native: nativeArch(), cacheDir: engine.cacheDir });
}

/** The machine's architecture in the filter compiler's words. */
export function nativeArch(): NativeArch {
  return process.arch === 'arm64' ? 'arm64' : 'x64';
}
