import type { Engine } from '../engine.ts';
import { containerIds } from '../names.ts';
import { findRecord } from '../record.ts';

/** A container that uses a volume, running or not. */
export interface VolumeUser {
  readonly id: string;
  readonly name: string;
}

/**
 * Who uses which volume, by name, as the containers' own records say it: there is no count that could be wrong. A container that is being made counts as soon as its record is there; until
 * then it holds the volume.
 */
export function volumeUsers(engine: Engine): Map<string, VolumeUser[]> {
  const users = new Map<string, VolumeUser[]>();
  for (const id of containerIds(engine)) {
    const record = findRecord(engine, id);
    for (const mount of record?.mounts ?? []) {
      if (record === undefined || mount.type !== 'volume') continue;
      const known = users.get(mount.name) ?? [];
      if (!known.some((user) => user.id === id)) known.push({ id, name: record.name });
      users.set(mount.name, known);
    }
  }
  return users;
}
