import { TareError } from '../base/errors.ts';

/**
 * Bytes as a string with one char (0 to 255) per byte: how names, link targets and attribute values of archives travel here. They need not be
 * UTF-8, and they are compared, split and used as keys without being decoded. `utf8Of` is for people only.
 */
export type ByteString = string;

/** PATH_MAX without the NUL: no longer name can be created or opened. */
export const MAX_PATH_BYTES = 4095;
const MAX_NAME_BYTES = 255;

/** The bytes of `text` in UTF-8. */
export function bytesOf(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}

/** What the bytes most likely mean; invalid sequences become U+FFFD. */
export function utf8Of(bytes: ByteString): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** True when the bytes are valid UTF-8. */
export function isUtf8(bytes: ByteString): boolean {
  if (isAscii(bytes)) return true;
  const raw = Buffer.from(bytes, 'latin1');
  return Buffer.from(raw.toString('utf8'), 'utf8').equals(raw);
}

export function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/**
 * The path an archive means, relative to its root: no leading or trailing slash, no empty, `.` or `..` component; '' is the root itself. `..` is
 * taken lexically, as containers/storage does.
 *
 * Errors: `invalid` for a path that leaves the root, holds a NUL byte, or is longer than the kernel takes.
 */
export function cleanPath(path: ByteString): ByteString {
  if (path.length > MAX_PATH_BYTES)
    throw new TareError('invalid', `Cannot use a path of ${path.length} bytes: at most ${MAX_PATH_BYTES}`);
  if (isClean(path)) return path;
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (kept.pop() === undefined)
        throw new TareError('invalid', `Cannot use path ${JSON.stringify(utf8Of(path))}: it leaves the archive`);
      continue;
    }
    if (part.length > MAX_NAME_BYTES)
      throw new TareError('invalid', `Cannot use a name of ${part.length} bytes: at most ${MAX_NAME_BYTES}`);
    if (part.includes('\0'))
      throw new TareError('invalid', `Cannot use path ${JSON.stringify(utf8Of(path))}: it holds a NUL byte`);
    kept.push(part);
  }
  return kept.join('/');
}

/** The common case, without an allocation. */
function isClean(path: ByteString): boolean {
  let start = 0;
  for (let i = 0; i <= path.length; i++) {
    const char = i === path.length ? 47 : path.charCodeAt(i);
    if (char === 0) return false;
    if (char !== 47) continue;
    const length = i - start;
    if (length === 0 || length > MAX_NAME_BYTES) return false;
    if (path.charCodeAt(start) === 46 && (length === 1 || (length === 2 && path.charCodeAt(start + 1) === 46)))
      return false;
    start = i + 1;
  }
  return true;
}

/** The part after the last slash. */
export function baseName(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The part before the last slash, '' for none. */
export function dirName(path: ByteString): ByteString {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
