import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { TareError } from '../base/errors.ts';
import type { LogOptions, LogRecord } from './logs.ts';

const ERR_PRIORITY = '3';
const RECHECK_MS = 500;

/**
 * A container's output from the journal, through `journalctl`. With `follow` it goes on while `lives` says so.
 * Errors: unavailable where there is no journalctl, or it fails.
 */
export async function* readJournal(
  id: string,
  shown: string,
  options: LogOptions,
  lives: () => boolean,
): AsyncGenerator<LogRecord, void, void> {
  const seconds = (time: string): string => `@${Date.parse(time) / 1000}`;
  const args = [
    '--output=json',
    '--all',
    '--quiet',
    ...(options.since === undefined ? [] : [`--since=${seconds(options.since)}`]),
    ...(options.until === undefined ? [] : [`--until=${seconds(options.until)}`]),
    ...(options.tail === undefined ? ['--no-tail'] : [`--lines=${options.tail}`]),
    ...(options.follow === true ? ['--follow'] : []),
    `CONTAINER_ID_FULL=${id}`,
  ];
  const child = spawn('journalctl', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  let problem = '';
  child.stderr.on('data', (bytes: Buffer) => (problem = (problem + bytes.toString()).slice(0, 400)));
  const ended = once(child, 'close').then(
    ([code]) => (code === 0 || child.killed ? undefined : problem.trim() || `journalctl exited with ${String(code)}`),
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
  // The journal is behind the container by moments: a look after its end, and one more.
  let looks = 0;
  const timer = setInterval(() => {
    if (options.follow === true && !lives() && ++looks > 2) child.kill();
  }, RECHECK_MS);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      const record = parseJournal(line);
      if (record !== undefined) yield record;
    }
    const failed = await ended;
    if (failed !== undefined && options.signal?.aborted !== true)
      throw new TareError('unavailable', `Cannot read logs of ${shown} from the journal: ${failed}`);
  } finally {
    clearInterval(timer);
    child.kill();
  }
}

/** One line of `journalctl --output=json`; undefined for what is none of ours. */
export function parseJournal(line: string): LogRecord | undefined {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const { MESSAGE: message, __REALTIME_TIMESTAMP: at } = json;
  if (typeof at !== 'string' || !/^[0-9]{1,19}$/.test(at)) return undefined;
  const micros = at.padStart(7, '0');
  const time = new Date(Number(micros.slice(0, -3))).toISOString();
  return {
    stream: json['PRIORITY'] === ERR_PRIORITY ? 2 : 1,
    time: `${time.slice(0, -1)}${micros.slice(-3)}000Z`,
    partial: json['CONTAINER_PARTIAL_MESSAGE'] === 'true',
    // Bytes that are no text come as a list of numbers.
    text: Array.isArray(message)
      ? Uint8Array.from(message as number[])
      : Buffer.from(typeof message === 'string' ? message : ''),
  };
}
