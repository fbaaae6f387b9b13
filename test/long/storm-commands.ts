/** What the storm of all verbs may do: command lines for a dozen containers, for their image, and for some that nobody stops. */
import { join } from 'node:path';

/** Chooses one of several. */
export type Pick = <T>(items: readonly T[]) => T;

/** One command line for container `name`. `dir`: where it may write. */
type Command = (name: string, pick: Pick, dir: string) => string[];

/** The image everything is made of. */
export const IMAGE = 'localhost/storm';

/** Of a container that nobody can name, and so nobody stops: the code it ends with, whoever is killed meanwhile. */
export const CODE_LABEL = 'code';

/** Of those that `prune` spares. */
export const KEPT_LABEL = 'kept';

/** What the first process of a container does that ends by itself. */
const shortLife = (code: number): string => `sleep 0.1; exit ${code}`;
const longLife = 'trap "exit 0" TERM; while :; do sleep 0.05; done';
const codes = Array.from({ length: 100 }, (_, index) => index + 2);

const named: Command = (name, pick) => [
  'run',
  '-d',
  ...pick([[], ['--rm'], ['--stop-timeout', '1'], ['--restart', 'on-failure:1'], ['--timeout', '1']]),
  ...['--name', name, IMAGE, 'sh', '-c', pick([shortLife(7), longLife])],
];

/** Alone with its code: in the foreground that is the command's own. */
const unnamed: Command = (_name, pick) => {
  const code = pick(codes);
  return [
    'run',
    ...pick([['-d'], ['-d'], ['--rm'], []]),
    '--label',
    `${CODE_LABEL}=${code}`,
    IMAGE,
    'sh',
    '-c',
    shortLife(code),
  ];
};

const pods = ['p0', 'p1'] as const;
const networks = ['web', 'other'] as const;

const inNetwork: Command = (name, pick) => [
  'run',
  '-d',
  ...pick([['--rm'], []]),
  ...['--network', pick(['bridge', ...networks])],
  ...pick([[], ['-p', '80'], ['-p', '8080:80']]),
  ...['--name', name, IMAGE, 'sh', '-c', pick([shortLife(7), longLife])],
];

const inPod: Command = (name, pick) => [
  ...['run', '-d', '--pod', pick(pods)],
  ...['--name', name, IMAGE, 'sh', '-c', pick([shortLife(7), longLife])],
];

/** What changes nothing in a container that anybody would notice; also done to those that nobody stops. */
export const harmless: readonly Command[] = [
  (name) => ['exec', name, 'sh', '-c', 'echo in; exit 3'],
  (name) => ['exec', '-d', name, 'sleep', '0.1'],
  (name) => ['update', '--pids-limit', '100', name],
  (name) => ['top', name],
  () => ['stats', '--no-stream'],
  () => ['ps', '-a', '--format', 'json'],
  (name) => ['inspect', name],
  (name) => ['logs', name],
  (name) => ['diff', name],
  (name) => ['port', name],
  (name) => ['container', 'exists', name],
  (name, _pick, dir) => ['cp', join(dir, 'file'), `${name}:/tmp/file`],
  (name, _pick, dir) => ['cp', `${name}:/etc/passwd`, join(dir, `passwd-${name}`)],
  (name, _pick, dir) => ['export', '-o', join(dir, `${name}.tar`), name],
  (name) => ['commit', '--pause=false', name, `localhost/committed-${name}`],
];

/** Everything. What is there twice is done twice as often. */
export const commands: readonly Command[] = [
  ...harmless,
  named,
  named,
  unnamed,
  unnamed,
  unnamed,
  (name) => ['create', '--name', name, IMAGE, 'sh', '-c', shortLife(7)],
  (name, pick) => [
    'create',
    ...['--name', name, '-v', `${pick(['shared', 'other'])}:/etc`, '-v', '/anonymous'],
    ...[IMAGE, 'sh', '-c', shortLife(7)],
  ],
  (name, pick) => [
    'run',
    '-d',
    ...pick([['--rm'], []]),
    ...['-v', `${pick(['shared', 'other'])}:/etc`, '--mount', `type=image,src=${IMAGE},dst=/image,rw`],
    ...['--name', name, IMAGE, 'sh', '-c', shortLife(7)],
  ],
  (name) => ['run', '--rm', '--volumes-from', name, IMAGE, 'true'],
  (_name, pick) => ['volume', pick(['create', 'rm']), pick(['shared', 'other'])],
  () => ['volume', 'ls'],
  (_name, pick, dir) => ['volume', 'export', '-o', join(dir, 'volume.tar'), pick(['shared', 'other'])],
  (name) => ['rm', '-v', name],
  inNetwork,
  inNetwork,
  (_name, pick) => ['network', pick(['create', 'create', 'rm']), pick(networks)],
  (name, pick) => ['network', pick(['connect', 'disconnect']), pick(['bridge', ...networks]), name],
  (_name, pick) => ['network', ...pick([['ls'], ['prune', '-f'], ['reload', '-a']])],
  inPod,
  inPod,
  (_name, pick) => [
    ...['pod', 'create', '--name', pick(pods)],
    ...pick([[], ['--exit-policy', 'stop'], ['--infra=false'], ['--network', 'bridge', '-p', '8081:80']]),
  ],
  (_name, pick) => ['pod', pick(['start', 'kill', 'pause', 'unpause', 'unpause']), pick(pods)],
  (_name, pick) => ['pod', pick(['stop', 'restart']), '-t', '1', pick(pods)],
  (_name, pick) => ['pod', 'rm', ...pick([[], ['-f', '-t', '0']]), pick(pods)],
  (_name, pick) => ['pod', pick(['inspect', 'logs', 'top', 'exists']), pick(pods)],
  () => ['pod', 'ps'],
  () => ['pod', 'prune', '-f'],
  (name) => ['container', 'clone', '--name', `${name}-renamed`, name],
  (name) => ['init', name],
  (name) => ['init', name],
  (name) => ['start', name],
  (name) => ['start', name],
  (name, pick) => ['update', '--restart', pick(['no', 'on-failure:1', 'always', 'unless-stopped']), name],
  (name) => ['stop', '-t', '1', name],
  (name) => ['kill', name],
  (name) => ['restart', '-t', '1', name],
  (name) => ['pause', name],
  (name) => ['unpause', name],
  (name) => ['unpause', name],
  (name) => ['commit', name, `localhost/committed-${name}`],
  (name, pick) => ['rename', name, pick([`${name}-renamed`, 'n0', 'n1'])],
  (name) => ['rename', `${name}-renamed`, name],
  (name) => ['rmi', '-f', `localhost/committed-${name}`],
  (name) => ['tag', IMAGE, `localhost/tagged-${name}`],
  (name) => ['untag', IMAGE, `localhost/tagged-${name}`],
  (name, _pick, dir) => ['save', '-o', join(dir, `${name}-image.tar`), IMAGE],
  (_name, _pick, dir) => ['pull', '-q', `oci:${join(dir, 'layout')}:storm`],
  () => ['history', IMAGE],
  () => ['images'],
  () => ['image', 'prune', '-f'],
  (name) => ['rm', '-f', '-t', '0', name],
  (name) => ['rm', '-f', '-t', '0', `${name}-renamed`],
  (name) => ['rm', name],
  () => ['container', 'prune', '-f', '--filter', `label!=${KEPT_LABEL}`],
  () => ['events', '--since', '1m', '--stream=false'],
  () => ['system', 'df'],
  () => ['info'],
];

/** Started before the storm, and named by nothing but what is harmless. What its end must find of them. */
export interface Kept {
  readonly name: string;
  readonly flags: readonly string[];
  readonly script: string;
  readonly state: 'running' | 'exited';
  readonly code?: number;
  /** How often it ran; undefined: more than once. */
  readonly runs?: number;
}

export const kept: readonly Kept[] = [
  { name: 'k-once', flags: [], script: 'echo run; sleep 1; exit 42', state: 'exited', code: 42, runs: 1 },
  {
    name: 'k-failure',
    flags: ['--restart', 'on-failure:3'],
    script: 'echo run; sleep 0.5; exit 9',
    state: 'exited',
    code: 9,
    runs: 4,
  },
  {
    name: 'k-timeout',
    flags: ['--timeout', '2'],
    script: 'echo run; exec sleep 1000',
    state: 'exited',
    code: 137,
    runs: 1,
  },
  { name: 'k-always', flags: ['--restart', 'always'], script: 'echo run; sleep 1; exit 5', state: 'running' },
  {
    name: 'k-unless',
    flags: ['--restart', 'unless-stopped'],
    script: 'echo run; exec sleep 1000',
    state: 'running',
    runs: 1,
  },
  {
    name: 'k-healthy',
    flags: ['--health-cmd', 'true', '--health-interval', '1s', '--restart', 'always'],
    script: 'echo run; exec sleep 1000',
    state: 'running',
    runs: 1,
  },
];
