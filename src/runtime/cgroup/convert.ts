/**
 * The OCI runtime specification speaks cgroup v1; these are its values in cgroup v2's units. The formulas are those of
 * runc and crun of today, so that a container gets the same share under any of them.
 */

/**
 * `cpu.shares` (2…262144, default 1024) as `cpu.weight` (1…10000, default 100): a quadratic in log2 through the two
 * ends and the defaults (opencontainers/cgroups#20, runc ≥ 1.3.2, crun ≥ 1.23). Out of range values are clamped.
 */
export function sharesToWeight(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262_144) return 10_000;
  const log = Math.log2(shares);
  return Math.ceil(10 ** ((log * log + 125 * log) / 612 - 7 / 34));
}

/** blkio weight (10…1000) as `io.weight` (1…10000), linear. `io.bfq.weight` takes the blkio value unchanged. */
export function blkioToIoWeight(weight: number): number {
  return Math.floor(1 + ((weight - 10) * 9999) / 990);
}

/**
 * OCI `memory.swap` is memory plus swap; `memory.swap.max` is swap alone. Undefined: leave the kernel's default.
 * A limit of -1 or undefined is no limit; then -1 for swap too unless given. The caller checked that swap ≥ limit.
 */
export function swapToV2(limit: number | undefined, memoryAndSwap: number | undefined): string | undefined {
  if (memoryAndSwap === undefined) return limit === -1 ? 'max' : undefined;
  if (memoryAndSwap === -1) return 'max';
  return decimal(limit === undefined || limit === -1 ? memoryAndSwap : memoryAndSwap - limit);
}

/** -1 is "max". */
export function limitToV2(value: number): string {
  return value === -1 ? 'max' : decimal(value);
}

/** An integer without exponent, also above 2^53. */
export function decimal(value: number): string {
  return Number.isSafeInteger(value) ? String(value) : BigInt(value).toString();
}
