import { closeSync, openSync, readSync } from 'node:fs';

let pool = Buffer.alloc(0);

/** Random bytes of the kernel; node:crypto would cost a start several milliseconds. */
export function randomBytes(length: number): Buffer {
  if (pool.length < length) {
    pool = Buffer.alloc(Math.max(1024, length));
    const fd = openSync('/dev/urandom', 'r');
    try {
      readSync(fd, pool);
    } finally {
      closeSync(fd);
    }
  }
  const bytes = pool.subarray(0, length);
  pool = pool.subarray(length);
  return bytes;
}

/** A new id: 64 lower-case hex digits. */
export function randomId(): string {
  return randomBytes(32).toString('hex');
}

/** The name of a layer's short link: 26 characters of base32. */
export function randomLink(): string {
  let text = '';
  for (const byte of randomBytes(26)) text += 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[byte & 31];
  return text;
}
