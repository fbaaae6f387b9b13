import { invalid } from './draft.ts';

/**
 * An absolute path in the container without ".", "..", doubled or trailing slashes ("/a//b/../c" is "/a/c", ".." at the top stays at the top).
 * Errors: `invalid` for a relative or empty path and for a NUL character.
 */
export function containerPath(path: string, what: string): string {
  if (!path.startsWith('/')) throw invalid(`${what} ${JSON.stringify(path)}`, 'it is not an absolute path');
  if (path.includes('\0')) throw invalid(what, 'it has a NUL character');
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

/** True when `path` is `directory` or lies below it. Both as `containerPath` returns them. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}
