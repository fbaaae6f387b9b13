import { closeSync, fstatSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Fd } from '../sys/fd.ts';
import { tryLock } from '../sys/lock.ts';
import type { Engine } from './engine.ts';
import type { NewEvent } from './event.ts';
import type { ContainerRecord } from './record.ts';

/** The file that events are appended to, and the one before it. */
export const EVENTS_NAME = 'log';
export const OLD_EVENTS_NAME = 'log.1';
/** Held for the moment of a rotation. */
const LOCK_NAME = 'lock';
/** One line, one write: what is longer loses its labels, then its attributes. The monitor knows the same limit (native/helper/event.c). */
export const EVENT_MAX_BYTES = 4096;
/** How often an event of a container looks at the size of the file. */
const RARELY = 1 / 16;
/** A file that has become larger is put aside. The monitor knows the same limit. */
export const EVENTS_MAX_BYTES = 1024 * 1024;

/** Who an event of a container is about. */
export function containerActor(
  record: Pick<ContainerRecord, 'id' | 'name' | 'image' | 'labels' | 'sandbox'>,
): Pick<NewEvent, 'id' | 'name' | 'labels'> & { readonly type: 'container' | 'pod'; readonly image: string } {
  const type = record.sandbox === undefined ? 'container' : 'pod';
  return { type, id: record.id, name: record.name, image: record.image, labels: record.labels };
}

/**
 * Tells an event to whoever listens (`readEvents`): one appended line in the run root. Nobody waits for the disk, and events do not survive a reboot. A failure is silent: nothing
 * that was done is undone because it cannot be told.
 *
 * ```ts
 * emit(engine, { ...containerActor(record), action: 'pause' });
 * ```
 */
export function emit(engine: Engine, event: NewEvent): void {
  try {
    // A start and an end are in a hurry, and their monitor looks, too.
    const looks = event.type !== 'container' || Math.random() < RARELY;
    append(engine.eventsDir, eventLine(event, new Date().toISOString()), looks);
  } catch {
    // Told to nobody.
  }
}

/** The members of an event's line that say who it is about, without braces: what a monitor puts into each of its own. */
export function actorMembers(event: Omit<NewEvent, 'action'>): string {
  const { type, id, name, image, labels } = event;
  const all = JSON.stringify({ type, id, name, image, labels }).slice(1, -1);
  // Room for the time, the action and its attributes.
  return Buffer.byteLength(all) <= EVENT_MAX_BYTES / 2 ? all : JSON.stringify({ type, id, name, image }).slice(1, -1);
}

function eventLine(event: NewEvent, time: string): string {
  const { type, action, id, name, image, labels, attributes } = event;
  const whole = { time, action, attributes, type, id, name, image, labels };
  for (const line of [whole, { ...whole, labels: undefined }, { time, action, type, id, name }]) {
    const text = `${JSON.stringify(line)}\n`;
    if (Buffer.byteLength(text) <= EVENT_MAX_BYTES) return text;
  }
  return `${JSON.stringify({ time, action, type, id, name: name.slice(0, 512) })}\n`;
}

function append(dir: string, line: string, looks: boolean): void {
  const path = join(dir, EVENTS_NAME);
  let fd: number;
  try {
    fd = openSync(path, 'a', 0o600);
  } catch {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    fd = openSync(path, 'a', 0o600);
  }
  try {
    writeSync(fd, line);
    if (!looks) return;
    const { size, ino } = fstatSync(fd);
    if (size > EVENTS_MAX_BYTES) rotate(dir, ino);
  } finally {
    closeSync(fd);
  }
}

/** Two that want it at once: one does it. Whoever has the old file open still writes where readers look. */
function rotate(dir: string, inode: number): void {
  using lock = Fd.adopt(openSync(join(dir, LOCK_NAME), 'a+', 0o600));
  const path = join(dir, EVENTS_NAME);
  if (tryLock(lock, 'write') && statSync(path).ino === inode) renameSync(path, join(dir, OLD_EVENTS_NAME));
}
