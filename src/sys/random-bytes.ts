import { closeSync, openSync, readSync } from 'node:fs';

/** Bytes that nobody can guess. /dev/urandom, because importing node:crypto costs a start 6 ms. */
export function randomBytes(count: number): Buffer {
  const bytes = Buffer.alloc(count);
  const fd = openSync('/dev/urandom', 'r');
  try {
    readSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
  return bytes;
}
