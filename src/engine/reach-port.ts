import { readFileSync } from 'node:fs';
import { sleep } from '../base/clock.ts';
import { TareError } from '../base/errors.ts';
import { cancelled } from './create.ts';
import type { Engine } from './engine.ts';
import { shortId } from './ids.ts';
import { openInit } from './init-process.ts';
import { networkPlaceOf } from './network-view.ts';
import { findRecord, readRecord } from './record.ts';

/** Where a port of a container is reached from this machine. */
export interface ReachedPort {
  readonly host: string;
  readonly port: number;
}

const POLL_MS = 10;

/**
 * Waits until a program in a container listens on a TCP port, without connecting to it, and says where it is reached from this machine: by its published port, otherwise at the container's own address.
 *
 * Errors: failed-precondition when it ends before, or when the machine cannot reach it; cancelled.
 */
export async function reachPort(
  engine: Engine,
  id: string,
  port: number,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ReachedPort> {
  const own = readRecord(engine, id);
  // Who is in another one's network is reached as that one is.
  const record = own.network === 'container' ? (findRecord(engine, own.net?.of ?? '') ?? own) : own;
  const place = networkPlaceOf(engine, record, port);
  if (place === undefined)
    throw new TareError(
      'failed-precondition',
      `Cannot reach port ${port} of container ${own.name}: it is not published, and the container has no address that this machine reaches`,
    );
  // Where its loopback is the machine's, or is connected to by somebody in between.
  const isLoopbackEnough = record.network === 'host' || record.net?.pasta !== undefined;
  for (;;) {
    if (options.signal?.aborted === true) throw cancelled(options.signal);
    if (listens(engine, id, port, isLoopbackEnough)) return place;
    await sleep(POLL_MS, options.signal);
  }
}

function listens(engine: Engine, id: string, port: number, isLoopbackEnough: boolean): boolean {
  using init = openInit(engine, id);
  if (init === undefined)
    throw new TareError('failed-precondition', `Cannot reach port ${port} of container ${shortId(id)}: it has ended`);
  const found = ['tcp', 'tcp6'].some((table) => {
    const path = `/proc/${init.pid}/net/${table}`;
    return readTable(path).some((address) => address.port === port && (isLoopbackEnough || !address.isLoopback));
  });
  // The number may have been another process's by then: it was this one's if it still lives.
  using again = openInit(engine, id);
  return found && again?.pid === init.pid;
}

/** The sockets of a /proc/net table that listen. Nothing where there is no such table: no IPv6, or the process has ended. */
export function readTable(path: string): { port: number; isLoopback: boolean }[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return listeningIn(text);
}

/** `  0: 0100007F:1538 00000000:0000 0A …`: numbers in hexadecimal, an address in the machine's byte order by 32 bits. */
export function listeningIn(text: string): { port: number; isLoopback: boolean }[] {
  return [...text.matchAll(/^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) \S+ 0A /gm)].map(
    ([, address = '', port = '']) => ({
      port: Number.parseInt(port, 16),
      isLoopback: /^(?:.{6}7F|0{24}01000000|0{16}FFFF0000.{6}7F)$/.test(address),
    }),
  );
}
