import type { VerbEntry } from './verbs.ts';

/** The verbs of `tare volume`. */
export const volumeVerbs: readonly VerbEntry[] = [
  {
    name: 'volume create',
    group: 'volumes',
    summary: 'Make a volume',
    load: async () => (await import('./verbs/volume-create.ts')).verb,
  },
  {
    name: 'volume ls',
    group: 'volumes',
    summary: 'List volumes',
    load: async () => (await import('./verbs/volume-ls.ts')).verb,
  },
  {
    name: 'volume inspect',
    group: 'volumes',
    summary: 'Print all that is known of volumes',
    load: async () => (await import('./verbs/volume-inspect.ts')).verb,
  },
  {
    name: 'volume rm',
    group: 'volumes',
    summary: 'Remove volumes',
    load: async () => (await import('./verbs/volume-rm.ts')).verb,
  },
  {
    name: 'volume prune',
    group: 'volumes',
    summary: 'Remove volumes that no container uses',
    load: async () => (await import('./verbs/volume-prune.ts')).verb,
  },
  {
    name: 'volume exists',
    group: 'volumes',
    summary: 'Tell by the exit code whether there is such a volume',
    load: async () => (await import('./verbs/volume-exists.ts')).verb,
  },
  {
    name: 'volume export',
    group: 'volumes',
    summary: 'Write the files of a volume as a tar',
    load: async () => (await import('./verbs/volume-export.ts')).verb,
  },
  {
    name: 'volume import',
    group: 'volumes',
    summary: 'Unpack a tar into a volume',
    load: async () => (await import('./verbs/volume-import.ts')).verb,
  },
];
