import { kindName, plain } from './values.ts';

/** Go's `eq` of two plain values. Errors: Error with what does not fit. */
export function isEqual(left: unknown, right: unknown): boolean {
  const [a, b] = [plain(left) ?? null, plain(right) ?? null];
  if (a === null || b === null) return a === b;
  requirePlain(a);
  requirePlain(b);
  if (typeof a !== typeof b) throw new Error(`cannot compare ${kindName(a)} with ${kindName(b)}`);
  return a === b;
}

/** Go's `lt` of two numbers or texts. Errors: Error with what does not fit. */
export function isLess(left: unknown, right: unknown): boolean {
  const [a, b] = [plain(left), plain(right)];
  if (typeof a === 'number' && typeof b === 'number') return a < b;
  if (typeof a === 'string' && typeof b === 'string') return a < b;
  throw new Error(`cannot order ${kindName(a)} and ${kindName(b)}: both must be numbers, or both texts`);
}

function requirePlain(value: unknown): void {
  if (typeof value === 'object' || typeof value === 'function') throw new Error(`cannot compare ${kindName(value)}`);
}
