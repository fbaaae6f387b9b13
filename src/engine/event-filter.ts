import type { TareEvent } from './event.ts';
import { hasLabel } from './has-label.ts';

/** Keys of `--filter` for events. */
export const eventFilterKeys = ['container', 'event', 'image', 'label', 'type', 'volume', 'network', 'pod'] as const;

/** Values by key: any of a key's values will do, but all labels must be there; every key must fit. */
export type EventFilters = ReadonlyMap<string, readonly string[]>;

/** Podman's words for what docker calls otherwise. */
const synonyms: Readonly<Record<string, string>> = {
  died: 'die',
  exec: 'exec_start',
  exec_died: 'exec_die',
  loadfromarchive: 'load',
};

/** Whether an event fits. A container fits by name or the beginning of its id, an image by name or id, also as that of a container. */
export function eventPasses(event: TareEvent, filters: EventFilters | undefined): boolean {
  for (const [key, values] of filters ?? []) {
    const fits = (value: string): boolean => fitsOne(event, key, value);
    if (key === 'label' ? !values.every(fits) : !values.some(fits)) return false;
  }
  return true;
}

function fitsOne(event: TareEvent, key: string, value: string): boolean {
  switch (key) {
    case 'event':
      return isAction(event, value);
    case 'type':
      return event.type === value;
    case 'label':
      return hasLabel(event.labels, value);
    case 'image':
      if (event.type === 'container') return isImage(event.image ?? '', value);
      return event.type === 'image' && (isImage(event.name, value) || isId(event.id.replace(/^sha256:/, ''), value));
    default:
      return event.type === key && (event.name === value || isId(event.id, value));
  }
}

/** `remove` of a container and `destroy`, `delete` of an image and `remove`: one tool's word each. */
function isAction(event: TareEvent, value: string): boolean {
  const wanted = synonyms[value] ?? value;
  if (event.action === wanted) return true;
  if (event.action === 'destroy') return wanted === 'remove';
  return event.action === 'remove' && wanted === 'delete';
}

function isId(id: string, value: string): boolean {
  return value !== '' && id.startsWith(value);
}

function isImage(name: string, value: string): boolean {
  return [name, name.replace(/@.*$/, ''), name.replace(/(@.*)?$/, '').replace(/:[^:/]*$/, '')].some(
    (known) => known === value || known.endsWith(`/${value}`),
  );
}
