/**
 * What every layer shares and nothing else: errors with a closed `kind`, byte helpers, clean-up.
 *
 * Reading order: errors.ts, clock.ts.
 */
export { monotonicMs, sleep } from './clock.ts';
export { TareError, isKind, messageOf, type ErrorKind } from './errors.ts';
