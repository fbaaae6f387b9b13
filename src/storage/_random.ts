import { randomBytes } from '../sys/random-bytes.ts';

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
