import type { VolumeSummary } from '../engine/volumes/list-volumes.ts';
import { labelOf, labelsShown } from './labels.ts';
import type { Row } from './rows.ts';

/** Headings of `volume ls` where they differ from the field's name. */
export const volumeHeadings = { Name: 'VOLUME NAME', CreatedAt: 'CREATED AT' } as const;

/** The columns of `volume ls`. */
export const volumeColumns = ['Driver', 'Name'] as const;

/** A volume as `volume ls` shows it: docker's template fields, and podman's. */
export function volumeRow(volume: VolumeSummary): Row {
  const row = {
    Name: volume.name,
    Driver: volume.driver,
    Mountpoint: volume.mountpoint,
    Scope: 'local',
    CreatedAt: volume.createdAt,
    Labels: labelsShown(volume.labels),
    Options: labelsShown(volume.options),
    Anonymous: volume.anonymous,
    NeedsCopyUp: volume.fresh,
    MountCount: volume.users.length,
    UsedBy: volume.users.map(({ name }) => name),
  };
  // A function is no data for json.
  return Object.defineProperty(row, 'Label', { value: (key: unknown) => labelOf(volume.labels, key) });
}
