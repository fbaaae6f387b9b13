import type { VerbEntry } from './verbs.ts';

/** The verbs of `tare network`. */
export const networkVerbs: readonly VerbEntry[] = [
  {
    name: 'network create',
    group: 'networks',
    summary: 'Make a network',
    load: async () => (await import('./verbs/network-create.ts')).verb,
  },
  {
    name: 'network ls',
    group: 'networks',
    summary: 'List networks',
    load: async () => (await import('./verbs/network-ls.ts')).verb,
  },
  {
    name: 'network inspect',
    group: 'networks',
    summary: 'Print all that is known of networks',
    load: async () => (await import('./verbs/network-inspect.ts')).verb,
  },
  {
    name: 'network rm',
    group: 'networks',
    summary: 'Remove networks',
    load: async () => (await import('./verbs/network-rm.ts')).verb,
  },
  {
    name: 'network prune',
    group: 'networks',
    summary: 'Remove networks that no container has',
    load: async () => (await import('./verbs/network-prune.ts')).verb,
  },
  {
    name: 'network exists',
    group: 'networks',
    summary: 'Tell by the exit code whether there is such a network',
    load: async () => (await import('./verbs/network-exists.ts')).verb,
  },
  {
    name: 'network connect',
    group: 'networks',
    summary: 'Put a container into one more network',
    load: async () => (await import('./verbs/network-connect.ts')).verb,
  },
  {
    name: 'network disconnect',
    group: 'networks',
    summary: 'Take a container out of a network',
    load: async () => (await import('./verbs/network-disconnect.ts')).verb,
  },
  {
    name: 'network reload',
    group: 'networks',
    summary: "Make networks' rules again that others flushed",
    load: async () => (await import('./verbs/network-reload.ts')).verb,
  },
];
