import type { MountIds } from '../spec/mount.ts';
import type { IdMapping } from '../spec/runtime-types.ts';
import type { RawRecord, Row } from './record.ts';

/** The maps of a record; empty where it has none, and for what is damaged. */
export function idMapsOf(raw: RawRecord): MountIds {
  return { uidMappings: mapOf(raw['uidmap']), gidMappings: mapOf(raw['gidmap']) };
}

function mapOf(value: unknown): IdMapping[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown): IdMapping[] => {
    if (typeof item !== 'object' || item === null) return [];
    const { container_id: containerID, host_id: hostID, size } = item as Record<string, unknown>;
    return isId(containerID) && isId(hostID) && isId(size) ? [{ containerID, hostID, size }] : [];
  });
}

function isId(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Maps as records have them. */
export function idMapsRaw({ uidMappings, gidMappings }: MountIds): RawRecord {
  return { uidmap: uidMappings.map(rawOf), gidmap: gidMappings.map(rawOf) };
}

function rawOf({ containerID, hostID, size }: IdMapping): RawRecord {
  return { container_id: containerID, host_id: hostID, size };
}

/** The highest uid or gid in the sets of layers. */
export function highestOwnerOf(layers: readonly Row[]): number {
  let highest = 0;
  for (const { raw } of layers)
    for (const set of [raw['uidset'], raw['gidset']])
      if (Array.isArray(set)) for (const id of set as unknown[]) if (isId(id) && id > highest) highest = id;
  return highest;
}
