import { TareError } from '../base/errors.ts';
import { addon } from './addon.ts';
import { check } from './error.ts';
import { type FdLike, numberOf } from './fd.ts';

/** setxattr(2): fail when it exists. */
export const XATTR_CREATE = 1;
/** setxattr(2): fail when it does not. */
export const XATTR_REPLACE = 2;

const ENODATA = 61;
const ERANGE = 34;

/** What carries an attribute: an open descriptor, or one name below a directory descriptor, never followed when it is a symlink. */
export type XattrTarget = FdLike | { readonly dir: FdLike; readonly name: string };

/** The kernel has no *at calls for attributes before 6.13: a single component below the descriptor's magic link is as safe. */
function pathOf(dir: FdLike, name: string): string {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) {
    throw new TareError('invalid', `Cannot reach attributes of ${JSON.stringify(name)}: it is not a single name`);
  }
  return `/proc/self/fd/${numberOf(dir)}/${name}`;
}

/** Calls until the value fits: it may grow between asking its size and reading it. */
function readAll(call: (into: Uint8Array | null) => number): Buffer | number {
  let into = Buffer.allocUnsafe(256);
  for (;;) {
    const result = call(into);
    if (result >= 0) return into.subarray(0, result);
    if (result !== -ERANGE) return result;
    const size = call(null);
    if (size < 0) return size;
    into = Buffer.allocUnsafe(size + 64);
  }
}

/** The attribute's bytes, or undefined when there is none. Errors: by errno. */
export function getXattr(target: XattrTarget, attribute: string): Buffer | undefined {
  const { fgetxattr, lgetxattr } = addon();
  let result: Buffer | number;
  if (typeof target === 'object' && 'dir' in target) {
    const path = pathOf(target.dir, target.name);
    result = readAll((into) => lgetxattr(path, attribute, into));
  } else {
    const fd = numberOf(target);
    result = readAll((into) => fgetxattr(fd, attribute, into));
  }
  if (typeof result !== 'number') return result;
  if (result === -ENODATA) return undefined;
  check(result, 'getxattr', attribute);
  return undefined;
}

/** Sets an attribute; flags XATTR_*. Errors: by errno. */
export function setXattr(target: XattrTarget, attribute: string, value: Uint8Array, flags = 0): void {
  const result =
    typeof target === 'object' && 'dir' in target
      ? addon().lsetxattr(pathOf(target.dir, target.name), attribute, value, flags)
      : addon().fsetxattr(numberOf(target), attribute, value, flags);
  check(result, 'setxattr', attribute);
}

/** The attributes' names that the caller may see. Errors: by errno. */
export function listXattrs(target: XattrTarget): string[] {
  const { flistxattr, llistxattr } = addon();
  let result: Buffer | number;
  if (typeof target === 'object' && 'dir' in target) {
    const path = pathOf(target.dir, target.name);
    result = readAll((into) => llistxattr(path, into));
  } else {
    const fd = numberOf(target);
    result = readAll((into) => flistxattr(fd, into));
  }
  if (typeof result === 'number') {
    check(result, 'listxattr');
    return [];
  }
  return result
    .toString('utf8')
    .split('\0')
    .filter((name) => name !== '');
}

/** Removes an attribute. Errors: by errno; `not-found` when there is none. */
export function removeXattr(target: XattrTarget, attribute: string): void {
  const result =
    typeof target === 'object' && 'dir' in target
      ? addon().lremovexattr(pathOf(target.dir, target.name), attribute)
      : addon().fremovexattr(numberOf(target), attribute);
  check(result, 'removexattr', attribute);
}
