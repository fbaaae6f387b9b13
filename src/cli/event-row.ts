import type { TareEvent } from '../engine/event.ts';
import { printable } from './table.ts';

/** An event with the fields that docker's and podman's templates name. */
export function eventRow(event: TareEvent, full: boolean): object {
  const id = shown(event.id, full);
  const ms = Date.parse(event.time);
  const { exitCode, status } = event.attributes;
  return {
    Type: event.type,
    Action: event.action,
    Status: event.action,
    ID: id,
    Name: event.name,
    ...(event.image === undefined ? {} : { Image: event.image }),
    ...(event.action === 'die' ? { ContainerExitCode: Number(exitCode) } : {}),
    ...(event.action === 'health_status' ? { HealthStatus: status ?? '' } : {}),
    Attributes: attributesOf(event),
    Actor: { ID: id, Attributes: attributesOf(event) },
    scope: 'local',
    time: Math.floor(ms / 1000),
    // A JSON number, as docker's, though a double is a quarter of a microsecond coarse by now.
    timeNano: Number(`${ms}${nanoDigits(event.time)}`),
  };
}

/** `TIME TYPE ACTION ID (key=value, ...)`, as docker prints it. */
export function eventLine(event: TareEvent, full: boolean): string {
  const attributes = Object.entries(attributesOf(event))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
  return printable(`${event.time} ${event.type} ${event.action} ${shown(event.id, full)} (${attributes})`);
}

function attributesOf(event: TareEvent): Readonly<Record<string, string>> {
  return {
    ...event.labels,
    ...event.attributes,
    ...(event.image === undefined ? {} : { image: event.image }),
    name: event.name,
  };
}

function shown(id: string, full: boolean): string {
  return full ? id : id.replace(/^sha256:/, '').slice(0, 12);
}

function nanoDigits(time: string): string {
  return (/\.[0-9]{3}([0-9]{1,6})/.exec(time)?.[1] ?? '').padEnd(6, '0');
}
