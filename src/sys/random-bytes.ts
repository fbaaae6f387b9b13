import { closeSync, openSync, readSync } from 'node:fs';

const POOL_BYTES = 1024;
let pool = Buffer.alloc(0);

/** Bytes that nobody can guess. /dev/urandom, because importing node:crypto costs a start 6 ms; many at once, because most who need some need more. */
export function randomBytes(count: number): Buffer {
  if (pool.length < count) {
    pool = Buffer.alloc(Math.max(POOL_BYTES, count));
    const fd = openSync('/dev/urandom', 'r');
    try {
      readSync(fd, pool);
    } finally {
      closeSync(fd);
    }
  }
  const bytes = pool.subarray(0, count);
  pool = pool.subarray(count);
  return bytes;
}
