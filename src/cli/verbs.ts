import { networkVerbs } from './network-verbs.ts';
import { podVerbs } from './pod-verbs.ts';
import type { Verb } from './verb.ts';
import { volumeVerbs } from './volume-verbs.ts';

/** An entry of the table of verbs: enough for help and dispatch without loading the verb. */
export interface VerbEntry {
  readonly name: string;
  readonly summary: string;
  readonly group: VerbGroup;
  readonly load: () => Promise<Verb>;
}

/** How help groups verbs; `hidden` is for our own programs. */
export type VerbGroup = 'containers' | 'pods' | 'images' | 'networks' | 'volumes' | 'system' | 'hidden';

/** Every verb, in the order of help. */
export const verbs: readonly VerbEntry[] = [
  {
    name: 'run',
    group: 'containers',
    summary: 'Create and start a container',
    load: async () => (await import('./verbs/run.ts')).verb,
  },
  {
    name: 'create',
    group: 'containers',
    summary: 'Create a container',
    load: async () => (await import('./verbs/create.ts')).verb,
  },
  {
    name: 'start',
    group: 'containers',
    summary: 'Start created or ended containers',
    load: async () => (await import('./verbs/start.ts')).verb,
  },
  {
    name: 'init',
    group: 'containers',
    summary: 'Prepare containers, so that a start only has to let them go',
    load: async () => (await import('./verbs/init.ts')).verb,
  },
  {
    name: 'exec',
    group: 'containers',
    summary: 'Run a command in a running container',
    load: async () => (await import('./verbs/exec.ts')).verb,
  },
  {
    name: 'attach',
    group: 'containers',
    summary: "Connect to a running container's streams",
    load: async () => (await import('./verbs/attach.ts')).verb,
  },
  {
    name: 'stop',
    group: 'containers',
    summary: 'Stop containers',
    load: async () => (await import('./verbs/stop.ts')).verb,
  },
  {
    name: 'kill',
    group: 'containers',
    summary: 'Send a signal to containers',
    load: async () => (await import('./verbs/kill.ts')).verb,
  },
  {
    name: 'rm',
    group: 'containers',
    summary: 'Remove containers',
    load: async () => (await import('./verbs/rm.ts')).verb,
  },
  {
    name: 'ps',
    group: 'containers',
    summary: 'List containers',
    load: async () => (await import('./verbs/ps.ts')).verb,
  },
  {
    name: 'logs',
    group: 'containers',
    summary: "Print a container's output",
    load: async () => (await import('./verbs/logs.ts')).verb,
  },
  {
    name: 'wait',
    group: 'containers',
    summary: 'Wait until containers have ended and print their exit codes',
    load: async () => (await import('./verbs/wait.ts')).verb,
  },
  {
    name: 'inspect',
    group: 'containers',
    summary: 'Print all that is known of containers, images or volumes',
    load: async () => (await import('./verbs/inspect.ts')).verb,
  },
  {
    name: 'events',
    group: 'containers',
    summary: 'Print what happens to containers and images',
    load: async () => (await import('./verbs/events.ts')).verb,
  },
  {
    name: 'healthcheck run',
    group: 'containers',
    summary: 'Check the health of a container now',
    load: async () => (await import('./verbs/healthcheck-run.ts')).verb,
  },
  {
    name: 'diff',
    group: 'containers',
    summary: 'List what a container changed in its file system',
    load: async () => (await import('./verbs/diff.ts')).verb,
  },
  {
    name: 'cp',
    group: 'containers',
    summary: 'Copy files to or from a container',
    load: async () => (await import('./verbs/cp.ts')).verb,
  },
  {
    name: 'export',
    group: 'containers',
    summary: "Write a container's root file system as a tar",
    load: async () => (await import('./verbs/export.ts')).verb,
  },
  {
    name: 'commit',
    group: 'containers',
    summary: 'Make an image of what a container has become',
    load: async () => (await import('./verbs/commit.ts')).verb,
  },
  {
    name: 'restart',
    group: 'containers',
    summary: 'Stop containers and start them again',
    load: async () => (await import('./verbs/restart.ts')).verb,
  },
  {
    name: 'pause',
    group: 'containers',
    summary: 'Let all processes of containers stand still',
    load: async () => (await import('./verbs/pause.ts')).verb,
  },
  {
    name: 'unpause',
    group: 'containers',
    summary: 'Let paused containers go on',
    load: async () => (await import('./verbs/unpause.ts')).verb,
  },
  {
    name: 'rename',
    group: 'containers',
    summary: 'Give a container another name',
    load: async () => (await import('./verbs/rename.ts')).verb,
  },
  {
    name: 'update',
    group: 'containers',
    summary: 'Change limits, restart policies and health checks of containers',
    load: async () => (await import('./verbs/update.ts')).verb,
  },
  {
    name: 'top',
    group: 'containers',
    summary: 'List the processes of a container',
    load: async () => (await import('./verbs/top.ts')).verb,
  },
  {
    name: 'stats',
    group: 'containers',
    summary: 'Show what containers use, live',
    load: async () => (await import('./verbs/stats.ts')).verb,
  },
  {
    name: 'port',
    group: 'containers',
    summary: 'Print the published ports of a container',
    load: async () => (await import('./verbs/port.ts')).verb,
  },
  {
    name: 'container exists',
    group: 'containers',
    summary: 'Tell by the exit code whether there is such a container',
    load: async () => (await import('./verbs/container-exists.ts')).verb,
  },
  {
    name: 'container clone',
    group: 'containers',
    summary: 'Create a container like another one',
    load: async () => (await import('./verbs/container-clone.ts')).verb,
  },
  {
    name: 'container prune',
    group: 'containers',
    summary: 'Remove all containers that do not run',
    load: async () => (await import('./verbs/container-prune.ts')).verb,
  },
  ...podVerbs,
  {
    name: 'pull',
    group: 'images',
    summary: 'Fetch an image',
    load: async () => (await import('./verbs/pull.ts')).verb,
  },
  {
    name: 'push',
    group: 'images',
    summary: 'Send an image to a registry, an archive or a directory',
    load: async () => (await import('./verbs/push.ts')).verb,
  },
  {
    name: 'images',
    group: 'images',
    summary: 'List images',
    load: async () => (await import('./verbs/images.ts')).verb,
  },
  { name: 'rmi', group: 'images', summary: 'Remove images', load: async () => (await import('./verbs/rmi.ts')).verb },
  {
    name: 'tag',
    group: 'images',
    summary: 'Give an image more names',
    load: async () => (await import('./verbs/tag.ts')).verb,
  },
  {
    name: 'untag',
    group: 'images',
    summary: 'Take names from an image',
    load: async () => (await import('./verbs/untag.ts')).verb,
  },
  {
    name: 'history',
    group: 'images',
    summary: 'Print how an image was made',
    load: async () => (await import('./verbs/history.ts')).verb,
  },
  {
    name: 'save',
    group: 'images',
    summary: 'Write images to an archive or directory',
    load: async () => (await import('./verbs/save.ts')).verb,
  },
  {
    name: 'load',
    group: 'images',
    summary: 'Bring the images of an archive or directory into the store',
    load: async () => (await import('./verbs/load.ts')).verb,
  },
  {
    name: 'import',
    group: 'images',
    summary: 'Make an image of the tar of a root file system',
    load: async () => (await import('./verbs/import.ts')).verb,
  },
  {
    name: 'image exists',
    group: 'images',
    summary: 'Tell by the exit code whether an image is in the store',
    load: async () => (await import('./verbs/image-exists.ts')).verb,
  },
  {
    name: 'image prune',
    group: 'images',
    summary: 'Delete images that nobody uses',
    load: async () => (await import('./verbs/image-prune.ts')).verb,
  },
  {
    name: 'login',
    group: 'images',
    summary: 'Log in to a registry',
    load: async () => (await import('./verbs/login.ts')).verb,
  },
  {
    name: 'logout',
    group: 'images',
    summary: 'Forget the login to a registry',
    load: async () => (await import('./verbs/logout.ts')).verb,
  },
  ...networkVerbs,
  ...volumeVerbs,
  {
    name: 'runtime',
    group: 'system',
    summary: 'Look into the runtime',
    load: async () => (await import('./verbs/runtime.ts')).verb,
  },
  {
    name: 'info',
    group: 'system',
    summary: 'Print what this machine and this installation can do',
    load: async () => (await import('./verbs/info.ts')).verb,
  },
  {
    name: 'version',
    group: 'system',
    summary: 'Print versions',
    load: async () => (await import('./verbs/version.ts')).verb,
  },
  {
    name: 'completion',
    group: 'system',
    summary: 'Print a script that lets a shell complete command lines',
    load: async () => (await import('./verbs/completion.ts')).verb,
  },
  {
    name: '__complete',
    group: 'hidden',
    summary: 'Print how a command line may go on (called by the scripts of tare completion)',
    load: async () => (await import('./verbs/complete.ts')).verb,
  },
  {
    name: 'unshare',
    group: 'system',
    summary: "Run a command in this user's namespace",
    load: async () => (await import('./verbs/unshare.ts')).verb,
  },
  {
    name: 'secret create',
    group: 'system',
    summary: 'Keep a secret for containers',
    load: async () => (await import('./verbs/secret-create.ts')).verb,
  },
  {
    name: 'secret ls',
    group: 'system',
    summary: 'List secrets',
    load: async () => (await import('./verbs/secret-ls.ts')).verb,
  },
  {
    name: 'secret inspect',
    group: 'system',
    summary: 'Print what is known of secrets',
    load: async () => (await import('./verbs/secret-inspect.ts')).verb,
  },
  {
    name: 'secret rm',
    group: 'system',
    summary: 'Forget secrets',
    load: async () => (await import('./verbs/secret-rm.ts')).verb,
  },
  {
    name: 'secret exists',
    group: 'system',
    summary: 'Tell by the exit code whether there is such a secret',
    load: async () => (await import('./verbs/secret-exists.ts')).verb,
  },
  {
    name: 'system migrate',
    group: 'system',
    summary: 'Stop what runs and give up the namespace, so that new subordinate ids count',
    load: async () => (await import('./verbs/system-migrate.ts')).verb,
  },
  {
    name: 'system install-units',
    group: 'system',
    summary: 'Let systemd start the containers whose restart policy says so at boot',
    load: async () => (await import('./verbs/system-install-units.ts')).verb,
  },
  {
    name: 'system df',
    group: 'system',
    summary: 'Show what images, containers, volumes and kept blobs take of the disk',
    load: async () => (await import('./verbs/system-df.ts')).verb,
  },
  {
    name: 'system prune',
    group: 'system',
    summary: 'Remove what nobody uses',
    load: async () => (await import('./verbs/system-prune.ts')).verb,
  },
  {
    name: 'cleanup',
    group: 'hidden',
    summary: 'Collect a container that has ended (called by its monitor)',
    load: async () => (await import('./verbs/cleanup.ts')).verb,
  },
];

/** Docker's grouped names: `container ls` is `ps`. A value may bring flags along. */
const grouped: Readonly<Record<string, Readonly<Record<string, readonly [verb: string, ...flags: string[]]>>>> = {
  container: {
    ...Object.fromEntries(
      verbs
        .filter(({ group, name }) => group === 'containers' && !name.includes(' '))
        .map(({ name }) => [name, [name] as [string]]),
    ),
    ls: ['ps'],
    list: ['ps'],
    remove: ['rm'],
    inspect: ['inspect', '--type=container'],
    exists: ['container exists'],
    prune: ['container prune'],
    clone: ['container clone'],
  },
  healthcheck: { run: ['healthcheck run'] },
  pod: {
    ...Object.fromEntries(podVerbs.map(({ name }) => [name.slice('pod '.length), [name] as [string]])),
    ls: ['pod ps'],
    list: ['pod ps'],
    remove: ['pod rm'],
  },
  image: {
    ls: ['images'],
    list: ['images'],
    rm: ['rmi'],
    remove: ['rmi'],
    inspect: ['inspect', '--type=image'],
    exists: ['image exists'],
    prune: ['image prune'],
    ...Object.fromEntries(
      ['pull', 'push', 'tag', 'untag', 'history', 'save', 'load', 'import'].map((name) => [name, [name] as [string]]),
    ),
  },
  secret: {
    create: ['secret create'],
    ls: ['secret ls'],
    list: ['secret ls'],
    inspect: ['secret inspect'],
    rm: ['secret rm'],
    remove: ['secret rm'],
    exists: ['secret exists'],
  },
  network: {
    ...Object.fromEntries(networkVerbs.map(({ name }) => [name.slice('network '.length), [name] as [string]])),
    list: ['network ls'],
    remove: ['network rm'],
  },
  volume: {
    ...Object.fromEntries(volumeVerbs.map(({ name }) => [name.slice('volume '.length), [name] as [string]])),
    list: ['volume ls'],
    remove: ['volume rm'],
  },
  system: {
    info: ['info'],
    migrate: ['system migrate'],
    'install-units': ['system install-units'],
    df: ['system df'],
    prune: ['system prune'],
  },
};

/** The groups that have sub-verbs, for help. */
export const groups: readonly string[] = Object.keys(grouped);

/** The names below a group. */
export function groupMembers(group: string): readonly string[] {
  return Object.hasOwn(grouped, group) ? Object.keys(grouped[group] ?? {}) : [];
}

/** The verb a command line names, and the arguments left for it. Undefined when there is no such verb. */
export function findVerb(
  words: readonly string[],
): { readonly entry: VerbEntry; readonly rest: readonly string[] } | undefined {
  const [first = '', second = ''] = words;
  const members = Object.hasOwn(grouped, first) ? grouped[first] : undefined;
  const target = members === undefined ? [first] : Object.hasOwn(members, second) ? members[second] : undefined;
  const entry = target === undefined ? undefined : verbs.find(({ name }) => name === target[0]);
  if (entry === undefined || target === undefined) return undefined;
  return { entry, rest: [...target.slice(1), ...words.slice(members === undefined ? 1 : 2)] };
}
