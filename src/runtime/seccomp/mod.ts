/**
 * System call filters: a compiler from OCI seccomp profiles to classic BPF, and the default profile.
 *
 * A start uses `prepareSeccomp` (or `defaultFilter`), which finds the default profile compiled in a cache and loads the compiler only when it must.
 * Reading order: prepare, default-filter; then default-profile, rules (what a profile means), compile-profile (search tree), conditions, bpf.
 * The compiler itself is `./compile-profile.ts`, the reader of docker's profile files `./profile-json.ts`: import those where they are needed.
 */
export { cachedDefaultFilter, defaultFilter, defaultFilterName } from './default-filter.ts';
export { prepareSeccomp, type PrepareOptions } from './prepare.ts';
export type { NativeArch } from './arch.ts';
