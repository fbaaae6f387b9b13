import type { VerbEntry } from './verbs.ts';

/** The verbs of `tare pod`. */
export const podVerbs: readonly VerbEntry[] = [
  {
    name: 'pod create',
    group: 'pods',
    summary: 'Make a pod: containers that share namespaces, names, ports and limits',
    load: async () => (await import('./verbs/pod-create.ts')).verb,
  },
  {
    name: 'pod start',
    group: 'pods',
    summary: 'Start pods: init containers first, then all others',
    load: async () => (await import('./verbs/pod-start.ts')).verb,
  },
  {
    name: 'pod stop',
    group: 'pods',
    summary: 'Stop all containers of pods',
    load: async () => (await import('./verbs/pod-stop.ts')).verb,
  },
  {
    name: 'pod restart',
    group: 'pods',
    summary: 'Stop pods and start them again',
    load: async () => (await import('./verbs/pod-restart.ts')).verb,
  },
  {
    name: 'pod kill',
    group: 'pods',
    summary: 'Send a signal to all containers of pods',
    load: async () => (await import('./verbs/pod-kill.ts')).verb,
  },
  {
    name: 'pod pause',
    group: 'pods',
    summary: 'Let all processes of pods stand still',
    load: async () => (await import('./verbs/pod-pause.ts')).verb,
  },
  {
    name: 'pod unpause',
    group: 'pods',
    summary: 'Let paused pods go on',
    load: async () => (await import('./verbs/pod-unpause.ts')).verb,
  },
  {
    name: 'pod rm',
    group: 'pods',
    summary: 'Remove pods with their containers',
    load: async () => (await import('./verbs/pod-rm.ts')).verb,
  },
  {
    name: 'pod ps',
    group: 'pods',
    summary: 'List pods',
    load: async () => (await import('./verbs/pod-ps.ts')).verb,
  },
  {
    name: 'pod inspect',
    group: 'pods',
    summary: 'Print all that is known of pods',
    load: async () => (await import('./verbs/pod-inspect.ts')).verb,
  },
  {
    name: 'pod logs',
    group: 'pods',
    summary: 'Print the output of the containers of a pod',
    load: async () => (await import('./verbs/pod-logs.ts')).verb,
  },
  {
    name: 'pod top',
    group: 'pods',
    summary: 'List the processes of a pod',
    load: async () => (await import('./verbs/pod-top.ts')).verb,
  },
  {
    name: 'pod stats',
    group: 'pods',
    summary: 'Show what the containers of pods use, live',
    load: async () => (await import('./verbs/pod-stats.ts')).verb,
  },
  {
    name: 'pod clone',
    group: 'pods',
    summary: 'Create a pod like another one, with its containers',
    load: async () => (await import('./verbs/pod-clone.ts')).verb,
  },
  {
    name: 'pod exists',
    group: 'pods',
    summary: 'Tell by the exit code whether there is such a pod',
    load: async () => (await import('./verbs/pod-exists.ts')).verb,
  },
  {
    name: 'pod prune',
    group: 'pods',
    summary: 'Remove all pods in which nothing runs any more',
    load: async () => (await import('./verbs/pod-prune.ts')).verb,
  },
];
