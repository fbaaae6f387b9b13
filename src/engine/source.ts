import { lstatSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { TareError } from '../base/errors.ts';

/** A source as written by a user, before anything is looked up. */
export type SourceText =
  | { readonly kind: 'image'; readonly reference: string }
  | { readonly kind: 'host'; readonly path: string }
  | { readonly kind: 'rootfs'; readonly path: string; readonly overlay: boolean }
  | { readonly kind: 'bundle'; readonly path: string };

/**
 * Parses `host:`, `host:/path`, `rootfs:/path[:O]`, `bundle:/path`; anything else is an image reference. Relative paths are taken from `cwd`.
 */
export function parseSource(text: string, cwd: string): SourceText {
  const match = /^(host|rootfs|bundle):(.*)$/s.exec(text);
  if (match === null) return { kind: 'image', reference: text };
  const [, kind, rest = ''] = match;
  switch (kind) {
    case 'host':
      return { kind: 'host', path: rest === '' ? '/' : resolve(cwd, rest) };
    case 'rootfs':
      return parseRootfs(rest, cwd);
    default:
      if (rest === '') throw new TareError('invalid', 'Cannot use source bundle: a directory must follow the colon');
      return { kind: 'bundle', path: resolve(cwd, rest) };
  }
}

/** Parses the value of `--rootfs`: DIR, or DIR:O for a throw-away overlay on it. */
export function parseRootfs(value: string, cwd: string): SourceText {
  const overlay = value.endsWith(':O');
  const path = overlay ? value.slice(0, -2) : value;
  if (path === '') throw new TareError('invalid', 'Cannot use rootfs: a directory is needed');
  return { kind: 'rootfs', path: resolve(cwd, path), overlay };
}

/** The real path of a directory. Errors: not-found, denied, invalid when it is something else. */
export function realDirectory(path: string, what: string): string {
  let real: string;
  try {
    real = realpathSync(path);
  } catch (cause) {
    throw unreachable(cause, `use ${what} ${path}`, 'no such directory');
  }
  if (!statSync(real).isDirectory()) throw new TareError('invalid', `Cannot use ${what} ${path}: not a directory`);
  return real;
}

/** What a bind source is. Errors: not-found, denied. */
export function bindKind(source: string): 'directory' | 'file' {
  try {
    return statSync(source).isDirectory() ? 'directory' : 'file';
  } catch (cause) {
    const dangling = lstatExists(source) ? ' (a symbolic link that leads nowhere)' : '';
    throw unreachable(cause, `mount ${source}`, `no such file or directory${dangling}`);
  }
}

/** It is not there, or we may not look. */
function unreachable(cause: unknown, doing: string, absent: string): TareError {
  return (cause as NodeJS.ErrnoException).code === 'EACCES'
    ? new TareError('denied', `Cannot ${doing}: permission denied`, { cause })
    : new TareError('not-found', `Cannot ${doing}: ${absent}`, { cause });
}

function lstatExists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
