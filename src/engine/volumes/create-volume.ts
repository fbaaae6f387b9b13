import { chmodSync, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../../base/errors.ts';
import { syncDirectory, writeDurably } from '../../base/durable-files.ts';
import { Fd } from '../../sys/fd.ts';
import { lockWait } from '../../sys/lock.ts';
import { removeTreeSync } from '../../sys/remove-tree.ts';
import { emit } from '../emit.ts';
import type { Engine } from '../engine.ts';
import { fileError } from '../file-error.ts';
import { newId } from '../ids.ts';
import { checkLocalOptions } from './local-options.ts';
import {
  checkVolumeName,
  DATA,
  findVolume,
  FRESH,
  isPlain,
  LIFE,
  volumePath,
  type VolumeRecord,
  volumeRecordPath,
} from './volume.ts';

export interface CreateVolumeOptions {
  /** Default: 64 hexadecimal digits. */
  readonly name?: string;
  /** `local` is the only one. */
  readonly driver?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** `type`, `device` and `o`, as mount(8) has them: what is mounted for each container that uses it. */
  readonly options?: Readonly<Record<string, string>>;
  /** One that is there already will do, whatever it is. */
  readonly ignore?: boolean;
}

/** Held while a volume is being made, for reading: what has no name yet is dead when nobody holds it (collect-volumes.ts). */
export const GATE = '.creating';
/** Beginning of the names that volumes have before they have one. */
export const NEW = '.new-';
const MAX_RECORD_BYTES = 1024 * 1024;

/**
 * Makes a volume; it appears under its name as a whole, by one rename, and of two that make the same one gets it. A kill leaves a directory without a name, which the next command on
 * volumes deletes. Returns its name.
 *
 * Errors: already-exists, unless `ignore`; invalid name or options; unsupported driver; exhausted.
 */
export async function createVolume(engine: Engine, options: CreateVolumeOptions = {}): Promise<string> {
  const name = options.name === undefined ? newId() : checkVolumeName(options.name);
  if ((options.driver ?? 'local') !== 'local')
    throw new TareError(
      'unsupported',
      `Cannot create volume ${name}: there is no driver ${options.driver}, only local`,
    );
  if (findVolume(engine, name) === undefined) {
    const made = await makeVolume(engine, {
      name,
      labels: options.labels ?? {},
      options: checkLocalOptions(name, options.options ?? {}),
    });
    if (made) return name;
  }
  if (options.ignore === true) return name;
  throw new TareError(
    'already-exists',
    `Cannot create volume ${name}: it is there already; use --ignore to take it as it is, or remove it first (tare volume rm ${name})`,
  );
}

/** Makes it with these properties; false when one of that name is there. Errors: those of the file system. */
export async function makeVolume(
  engine: Engine,
  about: Pick<VolumeRecord, 'name' | 'labels' | 'options' | 'container' | 'ephemeral'>,
): Promise<boolean> {
  const record: VolumeRecord = { version: 1, driver: 'local', createdAt: new Date().toISOString(), ...about };
  const text = JSON.stringify(record);
  if (Buffer.byteLength(text) > MAX_RECORD_BYTES)
    throw new TareError('invalid', `Cannot create volume ${about.name}: its labels and options are too long`);
  const durable = about.ephemeral !== true;
  const temporary = join(engine.volumesDir, `${NEW}${newId().slice(0, 16)}`);
  try {
    mkdirSync(engine.volumesDir, { recursive: true, mode: 0o700 });
    using gate = Fd.adopt(openSync(join(engine.volumesDir, GATE), 'a+', 0o600));
    await lockWait(gate, 'read');
    try {
      mkdirSync(temporary, { mode: 0o700 });
      mkdirSync(join(temporary, DATA));
      // What the umask says is not meant for containers.
      chmodSync(join(temporary, DATA), 0o755);
      writeFileSync(join(temporary, LIFE), '', { mode: 0o600 });
      if (isPlain(record)) writeFileSync(join(temporary, FRESH), '', { mode: 0o600 });
      if (durable) writeDurably(volumeRecordPath(temporary), text);
      else writeFileSync(volumeRecordPath(temporary), text, { mode: 0o600 });
      if (durable) syncDirectory(temporary);
      // No volume is an empty directory, which rename(2) would replace.
      renameSync(temporary, volumePath(engine, about.name));
    } catch (error) {
      removeTreeSync(temporary);
      throw error;
    }
    if (durable) syncDirectory(engine.volumesDir);
  } catch (error) {
    if (/^(ENOTEMPTY|EEXIST)$/.test(String((error as NodeJS.ErrnoException).code))) return false;
    throw fileError(error, `create volume ${about.name}`);
  }
  emit(engine, { type: 'volume', action: 'create', id: about.name, name: about.name, labels: about.labels });
  return true;
}
