import type { Engine } from '../engine.ts';
import { isFresh } from './copy-up.ts';
import {
  DATA,
  findVolume,
  isPlain,
  noVolume,
  readableVolume,
  volumeNames,
  volumePath,
  type VolumeRecord,
} from './volume.ts';
import { type VolumeUser, volumeUsers } from './volume-users.ts';

/** A volume as lists and `inspect` show it. */
export interface VolumeSummary {
  readonly name: string;
  readonly driver: 'local';
  /** Where its files are; empty for one that is mounted for each container. */
  readonly mountpoint: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  /** It was made for a container and goes with it. */
  readonly anonymous: boolean;
  /** The next container that mounts it fills it with what its image has there. */
  readonly fresh: boolean;
  /** Containers that use it, running or not. */
  readonly users: readonly VolumeUser[];
}

/** All volumes by name. Changes nothing; one that is removed meanwhile is left out. Errors: denied. */
export function listVolumes(engine: Engine): VolumeSummary[] {
  const users = volumeUsers(engine);
  return volumeNames(engine).flatMap((name) => {
    const record = readableVolume(engine, name);
    return record === undefined ? [] : [summaryOf(engine, record, users.get(name) ?? [])];
  });
}

/** One volume. Errors: not-found; invalid. */
export function volumeSummary(engine: Engine, name: string): VolumeSummary {
  const record = findVolume(engine, name);
  if (record === undefined) throw noVolume(name, 'inspect');
  return summaryOf(engine, record, volumeUsers(engine).get(record.name) ?? []);
}

/** In the shape docker and podman print (Go field names). */
export function volumeView(volume: VolumeSummary): object {
  return {
    Name: volume.name,
    Driver: volume.driver,
    Mountpoint: volume.mountpoint,
    CreatedAt: volume.createdAt,
    Labels: volume.labels,
    Scope: 'local',
    Options: volume.options,
    Anonymous: volume.anonymous,
    NeedsCopyUp: volume.fresh,
    MountCount: volume.users.length,
    UsedBy: volume.users.map((user) => user.name),
  };
}

function summaryOf(engine: Engine, record: VolumeRecord, users: readonly VolumeUser[]): VolumeSummary {
  const { name, driver, createdAt, labels, options } = record;
  return {
    name,
    driver,
    mountpoint: isPlain(record) ? volumePath(engine, name, DATA) : '',
    createdAt,
    labels,
    options,
    anonymous: record.container !== undefined,
    fresh: isFresh(engine, name),
    users,
  };
}
