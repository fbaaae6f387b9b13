import { existsSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import type { Engine } from './engine.ts';
import { fileError } from './file-error.ts';
import { wasChanged } from './change.ts';
import { findRecord } from './record.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
const ID_PREFIX = /^[0-9a-f]{1,64}$/;

/** In the directory of a container that is the sandbox of a pod: an entry for each container of the pod. */
export const MEMBERS = 'members';

/** Whether a container is the sandbox of a pod. */
export function isSandbox(engine: Engine, id: string): boolean {
  return existsSync(`${engine.containersDir}/${id}/${MEMBERS}`);
}

/** Whether a text could be a name. */
export function isName(text: string): boolean {
  return NAME.test(text);
}

/** Refuses what docker and podman refuse as a name. */
export function checkName(name: string): string {
  if (name.length > 128 || !NAME.test(name)) {
    throw new TareError(
      'invalid',
      `Cannot use name ${JSON.stringify(name)}: names match [a-zA-Z0-9][a-zA-Z0-9_.-]* and have at most 128 characters`,
    );
  }
  return name;
}

/**
 * Reserves a name for a container whose directory already exists: symlink(2) decides between two that want it. A name whose container is gone
 * (its remover died in between) is taken over; of two that try that, the rename of the stale link lets one win.
 *
 * Errors: already-exists, naming the holder.
 */
export function reserveName(engine: Engine, name: string, id: string): void {
  const link = join(engine.namesDir, checkName(name));
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      symlinkSync(id, link);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = holderOf(engine, name);
    if (holder === undefined) continue;
    if (existsSync(join(engine.containersDir, holder))) {
      throw new TareError(
        'already-exists',
        `Cannot use name ${name}: ${isSandbox(engine, holder) ? 'pod' : 'container'} ${holder.slice(0, 12)} has it; remove it first (tare ${isSandbox(engine, holder) ? 'pod rm' : 'rm'} ${name}) or choose another name`,
      );
    }
    releaseName(engine, name, holder);
  }
  throw new TareError('unavailable', `Cannot use name ${name}: others keep taking it`);
}

/** Releases a name of `id`, whose directory is still there and whose life lock the caller holds: nobody takes it over meanwhile. Idempotent. */
export function dropName(engine: Engine, name: string, id: string): void {
  if (holderOf(engine, name) === id) ifPresent(() => unlinkSync(join(engine.namesDir, name)));
}

/** Releases a name if `id` still holds it, and takes care not to release one that somebody has taken meanwhile. Idempotent. */
export function releaseName(engine: Engine, name: string, id: string): void {
  if (holderOf(engine, name) !== id) return;
  // Move aside first: if somebody replaced the link after our look, what we moved is not ours and goes back.
  const link = join(engine.namesDir, name);
  const aside = join(engine.namesDir, `.${name}.${process.pid}`);
  try {
    renameSync(link, aside);
    if (readlinkSync(aside) === id) unlinkSync(aside);
    else renameSync(aside, link);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Releases the names of containers that are gone: their creator or remover died. A name is only ever taken by a container whose directory exists. */
export function releaseStaleNames(engine: Engine): void {
  let names: string[];
  try {
    names = readdirSync(engine.namesDir);
  } catch {
    return;
  }
  for (const name of names) {
    const holder = holderOf(engine, name);
    if (holder === undefined || existsSync(join(engine.containersDir, holder))) continue;
    if (NAME.test(name)) releaseName(engine, name, holder);
    else rmSync(join(engine.namesDir, name), { force: true });
  }
}

/** Releases every name of `id` but `kept`. */
export function releaseOtherNames(engine: Engine, id: string, kept?: string): void {
  for (const name of readdirSync(engine.namesDir))
    if (name !== kept && holderOf(engine, name) === id) releaseName(engine, name, id);
}

/** The id that a name leads to, whether it is still the container's name or not. */
export function holderOf(engine: Engine, name: string): string | undefined {
  try {
    return readlinkSync(join(engine.namesDir, name));
  } catch {
    return undefined;
  }
}

/**
 * Finds a container by name, id or unique id prefix (a name wins over a prefix). The sandbox of a pod answers to its full id alone.
 *
 * Errors: not-found; invalid when a prefix fits several.
 */
export function resolveContainer(engine: Engine, nameOrId: string): string {
  const id = containerNamed(engine, nameOrId);
  if (id !== nameOrId && isSandbox(engine, id))
    throw new TareError('not-found', `Cannot find container ${nameOrId}: it is a pod (tare pod --help)`);
  return id;
}

function containerNamed(engine: Engine, nameOrId: string): string {
  if (isName(nameOrId)) {
    const id = holderOf(engine, nameOrId);
    if (id !== undefined && existsSync(join(engine.containersDir, id)) && isNameOf(engine, nameOrId, id)) return id;
  }
  const all = idsBeginningWith(engine, nameOrId);
  // A pod is not shown among containers: it is in nobody's way.
  const own = all.filter((id) => id === nameOrId || !isSandbox(engine, id));
  const matches = own.length > 0 ? own : all;
  if (matches.length > 1)
    throw new TareError('invalid', `Cannot choose container ${nameOrId}: ${matches.length} ids begin with it`);
  if (matches[0] !== undefined) return matches[0];
  throw new TareError('not-found', `Cannot find container ${nameOrId}: no such container`);
}

/** Ids of containers and pods that begin with a text; none, where it could be of no id. Errors: `denied` to who may not look, whatever the text. */
export function idsBeginningWith(engine: Engine, text: string): string[] {
  const ids = containerIds(engine);
  return ID_PREFIX.test(text) ? ids.filter((id) => id.startsWith(text)) : [];
}

/** While a container is being renamed, and when that was killed, two names lead to it: its record knows the right one. */
function isNameOf(engine: Engine, name: string, id: string): boolean {
  if (!wasChanged(join(engine.containersDir, id))) return true;
  const record = findRecord(engine, id);
  return record === undefined || record.name === name;
}

/** Ids of all container directories, in no order. Empty when nothing was ever created. */
export function containerIds(engine: Engine): string[] {
  try {
    return readdirSync(engine.containersDir).filter((name) => /^[0-9a-f]{64}$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw fileError(error, 'list containers');
  }
}
