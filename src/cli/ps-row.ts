import { type ContainerSummary, isUp } from '../engine/list.ts';
import { ago, humanDuration } from './human.ts';
import { labelOf, labelsShown } from './labels.ts';
import type { Row } from './rows.ts';
import { ellipsis, printable } from './table.ts';
import { Shown } from './template/shown.ts';

/** Headings of `ps` where they differ from the field's name. */
export const psHeadings = {
  ID: 'CONTAINER ID',
  RunningFor: 'CREATED',
  CreatedAt: 'CREATED AT',
  Pod: 'POD ID',
  PodName: 'PODNAME',
} as const;

/** The columns of `ps`. */
export const psColumns = ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names'] as const;

/** A container as `ps` shows it: docker's template fields, and podman's where docker has none (docs/reference/templates.md). */
export function psRow(container: ContainerSummary, nowMs: number, full: boolean): Row {
  const { labels } = container;
  const command = printable(container.command.join(' '));
  const created = ago(container.createdAt, nowMs);
  const networks = container.networks ?? [container.network];
  return {
    ID: full ? container.id : container.id.slice(0, 12),
    Image: printable(container.image),
    ImageID: container.imageId ?? '',
    Command: `"${full ? command : ellipsis(command, 20)}"`,
    CreatedAt: container.createdAt,
    RunningFor: created,
    Created: created,
    Status: statusText(container, nowMs),
    State: container.state,
    Ports: portsText(container),
    Names: new Shown(container.name, [container.name]),
    Labels: labelsShown(labels),
    Label: (key: unknown) => labelOf(labels, key),
    Networks: new Shown(networks.join(','), networks),
    Pod: (full ? container.pod?.id : container.pod?.id.slice(0, 12)) ?? '',
    PodName: container.pod?.name ?? '',
    Pid: String(container.pid ?? 0),
    ExitCode: String(container.exitCode ?? 0),
    Exited: container.state === 'exited',
    StartedAt: container.startedAt ?? '',
    ExitedAt: container.finishedAt ?? '',
  };
}

/** A container as `ps --format json` prints it: podman's fields; times in seconds since 1970. */
export function psJson(container: ContainerSummary, nowMs: number): Readonly<Record<string, unknown>> {
  const seconds = (time: string | undefined): number => (time === undefined ? 0 : Math.floor(Date.parse(time) / 1000));
  return {
    Id: container.id,
    Names: [container.name],
    Image: container.image,
    ImageID: container.imageId ?? '',
    Command: container.command,
    Created: seconds(container.createdAt),
    CreatedAt: container.createdAt,
    State: container.state,
    Status: statusText(container, nowMs),
    Exited: container.state === 'exited',
    ExitCode: container.exitCode ?? 0,
    StartedAt: seconds(container.startedAt),
    ExitedAt: seconds(container.finishedAt),
    Pid: container.pid ?? 0,
    Labels: container.labels,
    Pod: container.pod?.id ?? '',
    PodName: container.pod?.name ?? '',
    Networks: container.networks ?? [container.network],
    Ports: (isUp(container) ? (container.ports ?? []) : []).map(({ hostAddress, hostPort, port, protocol }) => ({
      host_ip: hostAddress ?? '',
      container_port: port,
      host_port: hostPort,
      range: 1,
      protocol,
    })),
  };
}

/** `0.0.0.0:8080->80/tcp, 127.0.0.1:53->53/udp` of one that is up. */
function portsText(container: ContainerSummary): string {
  if (container.ports === undefined || !isUp(container)) return '';
  return container.ports
    .map(({ hostAddress = '0.0.0.0', hostPort, port, protocol }) => {
      const host = hostAddress.includes(':') ? `[${hostAddress}]` : hostAddress;
      return `${host}:${hostPort}->${port}/${protocol}`;
    })
    .join(', ');
}

/** "Up 3 minutes", "Exited (0) 2 seconds ago". */
export function statusText(container: ContainerSummary, nowMs: number): string {
  switch (container.state) {
    case 'created':
      return 'Created';
    case 'initialized':
      return 'Initialized';
    case 'running':
    case 'paused': {
      const since = container.startedAt === undefined ? Number.NaN : Date.parse(container.startedAt);
      const up = Number.isNaN(since) ? 'Up' : `Up ${humanDuration(Math.max(0, nowMs - since))}`;
      if (container.state === 'paused') return `${up} (Paused)`;
      return container.health === undefined
        ? up
        : `${up} (${container.health === 'starting' ? 'health: starting' : container.health})`;
    }
    case 'restarting':
      return `Restarting (${container.exitCode ?? 0}) ${ago(container.finishedAt, nowMs)}`.trimEnd();
    case 'exited':
      return `Exited (${container.exitCode ?? 0}) ${ago(container.finishedAt, nowMs)}`.trimEnd();
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
  }
}
