import type { ContainerSummary } from '../engine/list.ts';
import type { Filters } from './format.ts';
import { ago, humanDuration } from './human.ts';
import { ellipsis, printable } from './table.ts';

/** Keys of `ps --filter`. */
export const psFilterKeys = ['id', 'name', 'status', 'label', 'ancestor', 'exited'] as const;

/** Values of `--filter status=`. */
export const psStates = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'] as const;

/** Headings of `ps` where they differ from the field's name. */
export const psHeadings = { ID: 'CONTAINER ID', RunningFor: 'CREATED', CreatedAt: 'CREATED AT' } as const;

/** The columns of `ps`. */
export const psColumns = ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names'] as const;

/** A container as `ps` shows it: docker's template fields. */
export function psRow(container: ContainerSummary, nowMs: number, full: boolean): Readonly<Record<string, string>> {
  const command = printable(container.command.join(' '));
  return {
    ID: full ? container.id : container.id.slice(0, 12),
    Image: printable(container.image),
    Command: `"${full ? command : ellipsis(command, 20)}"`,
    CreatedAt: container.createdAt,
    RunningFor: ago(container.createdAt, nowMs),
    Status: statusText(container, nowMs),
    State: container.state,
    Ports: '',
    Names: container.name,
    Labels: Object.entries(container.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
    Networks: container.network,
    Pid: String(container.pid ?? 0),
    ExitCode: String(container.exitCode ?? 0),
  };
}

/** "Up 3 minutes", "Exited (0) 2 seconds ago". */
export function statusText(container: ContainerSummary, nowMs: number): string {
  switch (container.state) {
    case 'created':
      return 'Created';
    case 'running': {
      const since = container.startedAt === undefined ? Number.NaN : Date.parse(container.startedAt);
      return Number.isNaN(since) ? 'Up' : `Up ${humanDuration(Math.max(0, nowMs - since))}`;
    }
    case 'exited':
      return `Exited (${container.exitCode ?? 0}) ${ago(container.finishedAt, nowMs)}`.trimEnd();
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
  }
}

/** Whether a container passes all keys; of several values of one key any will do, but all labels must be there. */
export function passes(container: ContainerSummary, filters: Filters): boolean {
  for (const [key, values] of filters) {
    const matches = (value: string): boolean => matchesOne(container, key, value);
    if (key === 'label' ? !values.every(matches) : !values.some(matches)) return false;
  }
  return true;
}

function matchesOne(container: ContainerSummary, key: string, value: string): boolean {
  switch (key) {
    case 'id':
      return container.id.startsWith(value);
    case 'name':
      return matchesName(container.name, value);
    case 'status':
      return container.state === value;
    case 'exited':
      return container.exitCode !== undefined && String(container.exitCode) === value;
    case 'ancestor':
      return [container.image, withoutTag(container.image)].some(
        (image) => image === value || image.endsWith(`/${value}`),
      );
    case 'label': {
      const equals = value.indexOf('=');
      const name = equals < 0 ? value : value.slice(0, equals);
      return (
        Object.hasOwn(container.labels, name) && (equals < 0 || container.labels[name] === value.slice(equals + 1))
      );
    }
    default:
      return false;
  }
}

/** As docker: part of a name, or a regular expression. */
function matchesName(name: string, wanted: string): boolean {
  const plain = wanted.replace(/^\//, '');
  if (name.includes(plain)) return true;
  try {
    return new RegExp(wanted.replace(/^\^\/?/, '^')).test(name);
  } catch {
    return false;
  }
}

function withoutTag(image: string): string {
  return image.replace(/(@[^@]*)?$/, '').replace(/:[^:/]*$/, '');
}
