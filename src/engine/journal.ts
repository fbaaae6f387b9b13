import type { ContainerRecord } from './record.ts';

/** Where journald listens, by its native protocol. */
export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

/** The fields of every message of a container, as docker and podman name them. */
export function journalFields(record: Pick<ContainerRecord, 'id' | 'name' | 'image' | 'logTag'>): string {
  const fields = {
    CONTAINER_ID: record.id.slice(0, 12),
    CONTAINER_ID_FULL: record.id,
    CONTAINER_NAME: record.name,
    CONTAINER_TAG: record.logTag ?? record.id.slice(0, 12),
    IMAGE_NAME: record.image,
    SYSLOG_IDENTIFIER: record.logTag ?? record.name,
  };
  // A line is a field: what breaks it would make others.
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value.replaceAll(/[\n\0]/g, ' ')}\n`)
    .join('');
}
