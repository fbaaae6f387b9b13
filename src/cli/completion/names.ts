import { existsSync } from 'node:fs';
import type { Engine } from '../../engine/engine.ts';
import { type ContainerSummary, isKept, isLive, listContainers } from '../../engine/list.ts';
import { listSecrets } from '../../engine/secrets/store.ts';
import { volumeNames } from '../../engine/volumes/volume.ts';
import { ellipsis, printable } from '../table.ts';
import type { Candidate } from './complete.ts';

/** Which containers are wanted, by their state. */
export type StateWish = 'any' | 'up' | 'kept' | 'down' | 'unprepared' | 'paused';

/** More than anybody reads. */
const MAX_CANDIDATES = 1000;

/** Names of containers that begin so; ids when digits were typed. Nothing where they cannot be read. */
export function containerNames(engine: Engine, current: string, wish: StateWish = 'any'): Candidate[] {
  try {
    return listContainers(engine)
      .filter((container) => isWanted(container, wish))
      .flatMap(({ id, name, image, state }) => {
        const meaning = `${state}, ${ellipsis(printable(image), 40)}`;
        return [name, ...(startsId(current) ? [id.slice(0, 12)] : [])].map((word) => ({ word, meaning }));
      })
      .filter(({ word }) => word.startsWith(current))
      .slice(0, MAX_CANDIDATES);
  } catch {
    return [];
  }
}

function isWanted(container: ContainerSummary, wish: StateWish): boolean {
  switch (wish) {
    case 'any':
      return true;
    case 'paused':
      return container.state === 'paused';
    case 'up':
      return isLive(container);
    case 'kept':
      return isKept(container);
    case 'down':
      return !isLive(container);
    case 'unprepared':
      return !isKept(container);
  }
}

/** Names of images that begin so, in full and as people say them; ids when digits were typed. Makes no store. Nothing where there is none that can be read. */
export async function imageNames(engine: Engine, current: string): Promise<Candidate[]> {
  if (!existsSync(engine.storageRoot)) return [];
  try {
    const store = await engine.openStore();
    return store
      .images()
      .flatMap(({ id, names }) => [
        ...names.flatMap((name) => [name, shortName(name)]),
        ...(startsId(current) ? [id.slice(0, 12)] : []),
      ])
      .filter((word, index, all) => word.startsWith(current) && all.indexOf(word) === index)
      .slice(0, MAX_CANDIDATES)
      .map((word) => ({ word, meaning: 'image' }));
  } catch {
    return [];
  }
}

/** Names of secrets that begin so. Nothing where they cannot be read. */
export function secretNames(engine: Engine, current: string): Candidate[] {
  try {
    return listSecrets(engine)
      .filter(({ name }) => name.startsWith(current))
      .slice(0, MAX_CANDIDATES)
      .map(({ name: word }) => ({ word, meaning: 'secret' }));
  } catch {
    return [];
  }
}

/** Names of networks that begin so. Nothing where they cannot be read. */
export async function networkNames(engine: Engine, current: string): Promise<Candidate[]> {
  try {
    const { listCniNetworks, listNetworks } = await import('../../engine/networks.ts');
    return [...listNetworks(engine), ...(await listCniNetworks(engine))]
      .filter(({ name }) => name.startsWith(current))
      .slice(0, MAX_CANDIDATES)
      .map(({ name: word, subnets }) => ({ word, meaning: subnets[0]?.subnet ?? '' }));
  } catch {
    return [];
  }
}

/** Names of pods that begin so. Nothing where they cannot be read. */
export async function podNames(engine: Engine, current: string): Promise<Candidate[]> {
  try {
    const { podsNow } = await import('../../engine/pods/list-pods.ts');
    return podsNow(engine)
      .filter(({ name }) => name.startsWith(current))
      .slice(0, MAX_CANDIDATES)
      .map(({ name: word, state, containers }) => ({ word, meaning: `${state}, ${containers.length} containers` }));
  } catch {
    return [];
  }
}

/** Names of volumes that begin so. Nothing where they cannot be read. */
export function volumeWords(engine: Engine, current: string): Candidate[] {
  try {
    return volumeNames(engine)
      .filter((word) => word.startsWith(current))
      .slice(0, MAX_CANDIDATES)
      .map((word) => ({ word, meaning: 'volume' }));
  } catch {
    return [];
  }
}

function shortName(name: string): string {
  return name.replace(/^(docker\.io\/(library\/)?|localhost\/)/, '').replace(/:latest$/, '');
}

function startsId(current: string): boolean {
  return /^[0-9a-f]+$/.test(current);
}
