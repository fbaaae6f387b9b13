import { readdirSync, readFileSync } from 'node:fs';
import { isKind, TareError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import { fileError } from '../file-error.ts';

/** What is remembered of a volume. Written once, before it has its name. */
export interface VolumeRecord {
  readonly version: 1;
  readonly name: string;
  readonly driver: 'local';
  /** RFC 3339. */
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the driver: `type`, `device`, `o`. None: a directory of ours. */
  readonly options: Readonly<Record<string, string>>;
  /** The container that an anonymous one was made for. */
  readonly container?: string;
  /** That container removes itself: the volume need not survive it. */
  readonly ephemeral?: true;
}

/** Its files. The directory never moves: whoever has it mounted sees what others write. */
export const DATA = '_data';
/** Nothing was ever put into it: the first container whose image has something there fills it (copy-up.ts). */
export const FRESH = 'fresh';
/** Held for reading by who is about to use it, for writing by who removes it. */
export const LIFE = 'life';
/** Of an anonymous one: another container than its own has used it. Without this, its own can remove it without a look at all others. */
export const SHARED = 'shared';

const RECORD = 'volume.json';
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const MAX_NAME_BYTES = 255;

/** Refuses what docker and podman refuse. No name leads out of the directory of volumes. Errors: invalid. */
export function checkVolumeName(name: string): string {
  if (name.length > MAX_NAME_BYTES || !NAME.test(name))
    throw new TareError(
      'invalid',
      `Cannot use volume name ${JSON.stringify(name)}: names match [a-zA-Z0-9][a-zA-Z0-9_.-]* and have at most ${MAX_NAME_BYTES} characters`,
    );
  return name;
}

/** The directory of a volume, or what is in it. Errors: invalid name. */
export function volumePath(engine: Engine, name: string, ...below: string[]): string {
  return [engine.volumesDir, checkVolumeName(name), ...below].join('/');
}

/** The text of a record, as `readVolume` finds it in `volumeRecordPath`. */
export function volumeRecordPath(dir: string): string {
  return `${dir}/${RECORD}`;
}

/** Names of all volumes, sorted. Empty where none was ever made. Errors: denied. */
export function volumeNames(engine: Engine): string[] {
  try {
    return readdirSync(engine.volumesDir)
      .filter((name) => NAME.test(name))
      .sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(error, 'list volumes');
  }
}

/** The record of a volume; undefined when there is none of that name. Errors: invalid name; unsupported (written by a newer Tare); internal for a damaged one; denied. */
export function findVolume(engine: Engine, name: string): VolumeRecord | undefined {
  let text: string;
  try {
    text = readFileSync(volumeRecordPath(volumePath(engine, name)), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileError(error, `read volume ${name}`);
  }
  let record: VolumeRecord;
  try {
    record = JSON.parse(text) as VolumeRecord;
  } catch (cause) {
    throw new TareError('internal', `Cannot read volume ${name}: its volume.json is not JSON`, { cause });
  }
  if (record.version !== 1)
    throw new TareError(
      'unsupported',
      `Cannot read volume ${name}: its record has version ${String(record.version)}; use the Tare that wrote it`,
    );
  return record;
}

/** The same for who looks at all of them: a damaged one is told by who wants it. */
export function readableVolume(engine: Engine, name: string): VolumeRecord | undefined {
  try {
    return findVolume(engine, name);
  } catch (error) {
    if (isKind(error, 'internal') || isKind(error, 'unsupported')) return undefined;
    throw error;
  }
}

/** The same for one that has to be there. Errors: not-found, and those of `findVolume`. */
export function readVolume(engine: Engine, name: string, doing: string): VolumeRecord {
  const record = findVolume(engine, name);
  if (record === undefined) throw noVolume(name, doing);
  return record;
}

export function noVolume(name: string, doing: string): TareError {
  return new TareError('not-found', `Cannot ${doing} volume ${name}: no such volume`);
}

/** It is a directory of ours, not something that is mounted for each container (local-mount.ts). */
export function isPlain({ options }: Pick<VolumeRecord, 'options'>): boolean {
  return Object.keys(options).length === 0;
}

/** Names of anonymous volumes begin with the id of the container they are made for: what a dead creation left is found by it. */
export function ownerPrefix(containerId: string): string {
  return containerId.slice(0, 32);
}
