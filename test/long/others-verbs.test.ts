/** Every verb of the table on what is another user's: one clear error, and nothing changed. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { spawnSync } from 'node:child_process';
import { verbs } from '../../src/cli/verbs.ts';
import { Lab, type Outcome } from '../engine/lab.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { tarOf } from '../support/tar.ts';
import { canBeUser, give, UserLab } from '../rootless/lab.ts';
import { elsewhere, verbLines, type VerbLine } from '../rootless/verb-lines.ts';

const skip = canBeUser;
const timeout = 120_000;
const IMAGE = 'localhost/theirs';
const AT_A_TIME = 3;

/** Says nothing, and tells by its exit code. */
const silent = new Set([
  'container exists',
  'image exists',
  'secret exists',
  'network exists',
  'pod exists',
  'volume exists',
]);

/** What the user may read and write. */
interface Files {
  readonly archive: string;
  readonly out: string;
  readonly layout: string;
}

function filesOf(user: UserLab): Files {
  const files = {
    archive: join(user.home, 'archive.tar'),
    out: join(user.home, 'out'),
    layout: join(user.home, 'oci'),
  };
  const image = buildImage({ layers: [tarOf([{ name: 'file', content: 'x' }])] });
  writeLayout(files.layout, blobsOf(image), { 'localhost/theirs:latest': image.manifest });
  assert.equal(spawnSync('tar', ['-C', files.layout, '-cf', files.archive, '.']).status, 0);
  give(user, user.home);
  return files;
}

/** Everything below some directories: names, owners, modes, sizes and times of change. */
function print(dirs: readonly string[]): string {
  const { stdout, stderr, status } = spawnSync('find', [...dirs, '-printf', '%p %u %g %m %s %T@ %C@\n'], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  assert.equal(status, 0, stderr);
  return stdout.split('\n').sort().join('\n');
}

/** One line that says what could not be done; nothing went wrong inside. */
function isClear({ argv, verb }: VerbLine, { code, stdout, stderr }: Outcome, reason: RegExp): void {
  // Called by monitors: what it does not find is collected already.
  if (verb === 'cleanup' && code === 0) return assert.equal(stderr + stdout, '');
  const what = `${argv.join(' ')}: ${code}: ${stderr}${stdout}`;
  assert.ok(code !== null && code !== 0, what);
  assert.ok(code === 1 || code === 125, what);
  if (silent.has(verb) && code === 1) return assert.equal(stderr + stdout, '', what);
  // After what it had got to.
  assert.match(stderr, /(?:^|\n)Error: [^\n]+\n$/, what);
  assert.equal(stderr.split('Error: ').length, 2, what);
  assert.match(stderr, reason, what);
  assert.doesNotMatch(stderr, /\n {4}at |internal|undefined|node:/, what);
}

/** What its owner lets others read, they may read: images, and of a container what is beside its state, which is a lock. */
const readers = new Set(
  'container exists,diff,events,history,image exists,image prune,images,logs,port,runtime,save,secret exists,secret inspect,secret ls,volume exists,volume inspect'
    .split(',')
    // There are none.
    .concat(['exists', 'inspect', 'ls', 'prune', 'rm'].map((verb) => `network ${verb}`)),
);
/** And these may get as far as that. */
const further =
  /Cannot find network web|Cannot reach localhost|it has no health check|Cannot copy within one container|offers no usable \w+ cgroup/;

async function each(lines: readonly VerbLine[], act: (line: VerbLine) => Promise<void>): Promise<void> {
  const left = [...lines];
  const failures: string[] = [];
  const worker = async (): Promise<void> => {
    for (let line = left.shift(); line !== undefined; line = left.shift())
      await act(line).catch((error: unknown) => failures.push(error instanceof Error ? error.message : String(error)));
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  assert.equal(failures.join('\n'), '');
}

const denied = /permission denied|not permitted|not allowed|EACCES|EPERM|belongs? to/i;
const either = (a: RegExp, b: RegExp): RegExp => new RegExp(`${a.source}|${b.source}`, 'i');
const missing =
  /no such (container|image|object|pod|secret|volume)|Cannot find|not known|unknown|Cannot (pull|fetch|reach)/i;

test('every verb has a line here, or a reason why it needs none', async () => {
  const lines = await verbLines({ archive: '/a', out: '/o' });
  const covered = new Set([...lines.map(({ verb }) => verb), ...Object.keys(elsewhere)]);
  assert.deepEqual([...covered].sort(), verbs.map(({ name }) => name).sort());
  assert.ok(lines.length > 45);
});

test('by name: what is another user’s is not there, for every verb', { skip, timeout }, async () => {
  await using owner = new UserLab();
  await using other = new UserLab();
  const files = filesOf(owner);
  await owner.ok('pull', '-q', `oci:${files.layout}:${IMAGE}:latest`);
  await owner.ok('run', '-d', '--name', 'c', owner.source, 'sleep', '1000');
  await owner.ok('secret', 'create', 's', files.archive);
  await owner.ok('volume', 'create', 'v');
  await owner.ok('pod', 'create', 'p');
  const before = print([owner.home, owner.run]);
  const named = (await verbLines(filesOf(other))).filter(({ about }) => about !== 'store');
  await each(named, async (line) => isClear(line, await other.tare(...line.argv), missing));
  assert.equal(print([owner.home, owner.run]), before);
  assert.equal(await owner.ok('ps', '--format', '{{.Names}} {{.State}}'), 'c running');
});

/** Runs the lines on directories that are closed to whoever runs them, then opened to read. */
async function refused(
  dir: string,
  dirs: readonly string[],
  lines: readonly VerbLine[],
  tare: (argv: readonly string[]) => Promise<Outcome>,
): Promise<void> {
  assert.equal(spawnSync('chmod', ['755', dir]).status, 0);
  const closed = print(dirs);
  await each(lines, async (line) => isClear(line, await tare(line.argv), denied));
  assert.equal(print(dirs), closed);
  assert.equal(spawnSync('chmod', ['-R', 'o+rX', dir]).status, 0);
  const open = print(dirs);
  await each(lines, async (line) => {
    const went = await tare(line.argv);
    if (went.code !== 0 || !readers.has(line.verb)) isClear(line, went, either(denied, further));
  });
  assert.equal(print(dirs), open);
}

/** The flags that point at somebody's places, all of them or some. */
const places = (dirs: { root: string; runRoot: string; storageRoot: string; storageRunRoot: string }) => [
  `--root=${dirs.root}`,
  `--runroot=${dirs.runRoot}`,
  `--storage-root=${dirs.storageRoot}`,
  `--storage-runroot=${dirs.storageRunRoot}`,
];

const ofUser = (user: UserLab) =>
  places({
    root: user.at('tare'),
    runRoot: join(user.run, 'tare'),
    storageRoot: user.at('containers/storage'),
    storageRunRoot: join(user.run, 'containers'),
  });

test(
  'another user’s directories, closed and open to read: every verb is refused',
  { skip, timeout: 2 * timeout },
  async () => {
    await using owner = new UserLab();
    await using other = new UserLab();
    const theirs = filesOf(owner);
    await owner.ok('pull', '-q', `oci:${theirs.layout}:${IMAGE}:latest`);
    await owner.ok('run', '-d', '--name', 'c', owner.source, 'sleep', '1000');
    await owner.ok('secret', 'create', 's', theirs.archive);
    await owner.ok('volume', 'create', 'v');
    await owner.ok('pod', 'create', 'p');
    const lines = await verbLines(filesOf(other));
    await refused(owner.dir, [owner.home, owner.run], lines, (argv) => other.tare(...ofUser(owner), ...argv));
    assert.equal(await owner.ok('ps', '--format', '{{.Names}} {{.State}}'), 'c running');
    assert.equal(await owner.ok('exec', 'c', 'echo', 'well'), 'well');
  },
);

test('root’s directories, closed and open to read: every verb is refused', { skip, timeout: 2 * timeout }, async () => {
  await using lab = new Lab();
  await using user = new UserLab();
  const files = filesOf(user);
  assert.equal((await lab.tare('pull', '-q', `oci:${files.layout}:${IMAGE}:latest`)).code, 0);
  await lab.detached(['sleep', '1000'], { name: 'c' });
  assert.equal((await lab.tare('secret', 'create', 's', files.archive)).code, 0);
  assert.equal((await lab.tare('volume', 'create', 'v')).code, 0);
  assert.equal((await lab.tare('pod', 'create', 'p')).code, 0);
  const lines = await verbLines(files);
  await refused(lab.dir, [lab.dir], lines, (argv) => user.tare(...places(lab.engine), ...argv));
  assert.equal((await lab.tare('exec', 'c', 'echo', 'well')).stdout, 'well\n');
});

test('another user’s paths: read or written by no verb', { skip, timeout }, async () => {
  await using owner = new UserLab();
  await using user = new UserLab();
  const theirs = filesOf(owner);
  const own = filesOf(user);
  await user.ok('pull', '-q', `oci:${own.layout}:${IMAGE}:latest`);
  await user.ok('create', '--name', 'mine', user.source, 'true');
  const secret = join(owner.home, 'rootfs/data/one');
  const fresh = join(owner.home, 'fresh');
  const lines: readonly (readonly string[])[] = [
    ['run', '--rm', `--rootfs=${owner.rootfs}:O`, 'true'],
    ['run', '--rm', `--rootfs=${owner.rootfs}`, 'true'],
    ['create', `--bundle=${owner.rootfs}`],
    ['run', '--rm', `host:${owner.rootfs}`, 'true'],
    ['run', '--rm', '-v', `${owner.rootfs}:/x`, user.source, 'true'],
    ['run', '--rm', `--env-file=${secret}`, user.source, 'true'],
    ['run', '--rm', `--cidfile=${fresh}`, user.source, 'true'],
    ['cp', secret, 'mine:/tmp'],
    ['cp', 'mine:/data/one', fresh],
    ['export', '-o', fresh, 'mine'],
    ['save', '-o', fresh, IMAGE],
    ['load', '-i', theirs.archive],
    ['import', theirs.archive],
    ['pull', `oci:${theirs.layout}:${IMAGE}:latest`],
    ['push', IMAGE, `dir:${fresh}`],
    ['push', IMAGE, `oci:${theirs.layout}`],
    ['login', `--authfile=${fresh}`, '-u', 'u', '-p', 'p', 'localhost'],
  ];
  const before = print([owner.home]);
  await each(
    lines.map((argv) => ({ verb: argv[0] ?? '', about: 'store', argv })),
    async (line) => isClear(line, await user.tare(...line.argv), either(denied, /Cannot reach localhost/)),
  );
  assert.equal(print([owner.home]), before);
  assert.equal(await user.ok('ps', '-a', '--format', '{{.Names}}'), 'mine');
});
