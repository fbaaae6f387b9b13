import { write, writeSync } from 'node:fs';
import { sleep } from '../base/clock.ts';

/** Somebody closed the read end of what we write to: nobody wants more. */
export class BrokenPipe extends Error {
  readonly fd: number;

  constructor(fd: number) {
    super('Cannot write output: the reader is gone');
    this.fd = fd;
  }
}

const RETRY_MS = 2;

/**
 * Writes all of a small text before it returns: nothing is buffered, so the process may exit at any time afterwards.
 * Errors: BrokenPipe; others by errno.
 */
export function writeNow(fd: number, text: string | Uint8Array): void {
  let rest = typeof text === 'string' ? Buffer.from(text) : text;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      if (!wouldBlock(error)) throw brokenPipe(fd, error);
      // Somebody else made the descriptor non-blocking; the reader is slow.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}

/**
 * Writes bytes as fast as the reader takes them, in a thread, so that a slow reader holds back its caller but neither signals nor timers.
 * Resolves when the kernel has all of them. Errors: BrokenPipe; others by errno.
 */
export async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) {
    try {
      rest = rest.subarray(await writeSome(fd, rest));
    } catch (error) {
      if (!wouldBlock(error)) throw brokenPipe(fd, error);
      await sleep(RETRY_MS);
    }
  }
}

function writeSome(fd: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, bytes, 0, bytes.length, null, (error, written) => (error === null ? resolve(written) : reject(error)));
  });
}

function wouldBlock(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN';
}

function brokenPipe(fd: number, error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code === 'EPIPE' ? new BrokenPipe(fd) : error;
}
