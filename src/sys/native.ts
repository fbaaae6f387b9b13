import { TareError } from '../base/errors.ts';

let found: string | undefined;

/**
 * The folder that holds what is built for this machine: `bin/tare`, `build/tare-helper`, `build/tare-network`, `build/tare.node`. In a checkout and in the package of an architecture
 * (from which the command line runs) that is our own package; for the library it is `@tare/linux-ARCH`, found as Node finds modules
 * (docs/decisions/0017-packages.md). Errors: `not-found` where there is none.
 */
export function nativeDir(): string {
  return (found ??= findNativeDir(`${import.meta.dirname}/../..`));
}

/** `nativeDir` of the package at `own`. */
export function findNativeDir(own: string): string {
  const { existsSync } = process.getBuiltinModule('node:fs');
  if (existsSync(`${own}/build/tare.node`)) return own;
  const name = `@tare/linux-${process.arch}`;
  try {
    const { createRequire } = process.getBuiltinModule('node:module');
    return createRequire(`${own}/package.json`).resolve(`${name}/package.json`).slice(0, -'/package.json'.length);
  } catch (cause) {
    throw new TareError(
      'not-found',
      `Cannot load the native parts of tare: the package ${name} is not installed; install tare again without --omit=optional and --no-optional (in a checkout: npm run build)`,
      { cause },
    );
  }
}
