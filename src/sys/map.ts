import { addon } from './addon.ts';
import { check } from './error.ts';

/**
 * The bytes of a file as Latin-1 text, without a copy: a page that nobody looks at is not read. Never unmapped, so for files that live as long as the
 * process and are replaced, not changed. Errors: `not-found`; `invalid` for an empty file.
 */
export function mapText(path: string): string {
  const text = addon().mapText(path);
  return typeof text === 'string' ? text : String(check(text, 'mmap', path));
}

/** The same as bytes. Writing to them changes no file. */
export function mapBytes(path: string): Buffer {
  const bytes = addon().mapBytes(path);
  return typeof bytes === 'number' ? Buffer.alloc(check(bytes, 'mmap', path)) : bytes;
}
