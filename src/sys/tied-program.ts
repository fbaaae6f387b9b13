import { fstatSync, readSync } from 'node:fs';
import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { addon } from './addon.ts';
import { check } from './error.ts';
import type { Fd, FdLike } from './fd.ts';
import { memfdCreate } from './memfd.ts';
import { networkProgram, startHelper } from './process.ts';
import { sendFds, setReceiveTimeout, socketpair, tryReceive } from './socket.ts';

/** Descriptors of native/network/tie.c. */
const FD_NETNS = 4;
const FD_READY = 7;
const WORDS_BYTES = 4096;
const F_ADD_SEALS = 1033;
const F_SEAL_GROW = 4;
const TIMEOUT_MS = 10_000;

/** Paths that a tied program finds things by. */
export interface TiedPaths {
  /** The network namespace it is for. */
  readonly netns: string;
  /** A file it writes something to when it is ready. */
  readonly ready: string;
}

/**
 * Starts a program that runs as long as the other end of `lifeline`, a connected socket, is open somewhere: a small process watches over it (native/network/tie.c), each of the two dies with the other,
 * and both do when the socket ends. Its environment is empty, its streams are /dev/null. Returns when it is ready. `argvOf` begins with its path.
 *
 * Errors: unavailable, with what it said on its standard error; by errno.
 */
export async function startTied(
  lifeline: FdLike,
  netns: FdLike,
  argvOf: (paths: TiedPaths) => readonly string[],
): Promise<void> {
  const [talk, theirs] = socketpair();
  using _talk = talk;
  // What it complains of later has no room.
  using words = memfdCreate('words');
  check(addon().ftruncate(words.number, WORDS_BYTES), 'ftruncate');
  check(addon().fcntl(words.number, F_ADD_SEALS, F_SEAL_GROW), 'fcntl(F_ADD_SEALS)');
  using ready = memfdCreate('ready');
  using image = networkProgram();
  let pid: number;
  try {
    pid = startHelper('tie', [lifeline, netns, theirs, words, ready], { program: image }).pid();
  } finally {
    theirs.close();
  }
  const argv = argvOf({ netns: `/proc/${pid}/fd/${FD_NETNS}`, ready: `/proc/${pid}/fd/${FD_READY}` });
  setReceiveTimeout(talk, TIMEOUT_MS);
  sendFds(talk, wordsOf(argv));
  const isReady = (): boolean => fstatSync(ready.number).size > 0;
  const nothing = Buffer.alloc(1);
  for (const end = performance.now() + TIMEOUT_MS; !isReady(); await sleep(1)) {
    const isOver = tryReceive(talk, nothing) === 0;
    if ((isOver && !isReady()) || performance.now() > end)
      throw new TareError('unavailable', `Cannot start ${argv[0]}: ${saidIn(words) || 'it ended without a word'}`);
  }
}

/** Their length, then each with its NUL. */
function wordsOf(argv: readonly string[]): Buffer {
  const text = Buffer.from(argv.map((word) => `${word}\0`).join(''));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([length, text]);
}

/** What it wrote, but for what it says of the system's log. */
function saidIn(words: Fd): string {
  const bytes = Buffer.alloc(WORDS_BYTES);
  const length = readSync(words.number, bytes, 0, WORDS_BYTES, 0);
  return bytes
    .toString('utf8', 0, length)
    .split(/[\n\0]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^Failed to send \d+ bytes to syslog/.test(line))
    .join('; ');
}
