import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Lab, launcher } from '../engine/lab.ts';
import { canBeUser, give, UserLab } from './lab.ts';

const skip = canBeUser;

/** Every verb that names a container, with what it needs besides. */
const verbs: readonly (readonly string[])[] = [
  ['start', 'c'],
  ['exec', 'c', 'true'],
  ['attach', 'c'],
  ['stop', '-t', '0', 'c'],
  ['kill', 'c'],
  ['logs', 'c'],
  ['wait', 'c'],
  ['inspect', '--type=container', 'c'],
  ['diff', 'c'],
  ['rm', '-f', 'c'],
];

const clearly = (what: string, outcome: { code: number | null; stderr: string }, words: RegExp): void => {
  assert.notEqual(outcome.code, 0, what);
  assert.match(outcome.stderr, /^Error: Cannot [^\n]+\n$/, what);
  assert.match(outcome.stderr, words, what);
};

test('another user’s containers are not seen, and every verb on them says so', { skip }, async () => {
  await using owner = new UserLab();
  await using other = new UserLab();
  await owner.ok('run', '-d', '--name', 'c', owner.source, 'sleep', '1000');
  assert.equal(await other.ok('ps', '-aq'), '');
  for (const argv of [...verbs.slice(0, -1), ['rm', 'c']])
    clearly(argv.join(' '), await other.tare(...argv), /Cannot find container c|no such container/);
  assert.equal(await owner.ok('ps', '--format', '{{.Names}}'), 'c');
});

test('another user’s roots are refused: every verb, one clear error, nothing changed', { skip }, async () => {
  await using owner = new UserLab();
  await using other = new UserLab();
  await owner.ok('run', '-d', '--name', 'c', owner.source, 'sleep', '1000');
  const roots = [
    `--root=${owner.at('tare')}`,
    `--runroot=${owner.run}/tare`,
    `--storage-root=${owner.at('containers/storage')}`,
    `--storage-runroot=${owner.run}/containers`,
  ];
  for (const argv of [
    ...verbs,
    ['ps'],
    ['ps', '-a'],
    ['images'],
    ['run', 'host:', 'true'],
    ['create', 'host:', 'true'],
  ])
    clearly(
      argv.join(' '),
      await other.tare(...roots, ...argv),
      /EACCES|EPERM|denied|not permitted|not allowed|no such container|Cannot find/,
    );
  assert.equal(await owner.ok('ps', '--format', '{{.Names}}'), 'c');
});

test(
  'root’s containers are refused to a user: places that root keeps to itself, one clear error',
  { skip },
  async () => {
    await using lab = new Lab();
    await using user = new UserLab();
    const running = await lab.detached(['sleep', '1000'], { name: 'c' });
    chmodSync(lab.dir, 0o755);
    const roots = lab.options.self.slice(1, 5);
    for (const argv of [...verbs, ['ps'], ['run', 'host:', 'true']])
      clearly(
        argv.join(' '),
        await user.tare(...roots, ...argv),
        /EACCES|EPERM|denied|not permitted|not allowed|no such container|Cannot find/,
      );
    assert.match((await lab.tare('ps', '--format', '{{.ID}}')).stdout, new RegExp(running.id.slice(0, 12)));
  },
);

test('a user cannot use another’s namespace: its holder does not let anybody else in', { skip }, async () => {
  await using owner = new UserLab();
  await using other = new UserLab();
  await owner.ok('unshare', 'true');
  const [holder = 0] = owner.holders();
  const { code } = await other.exec(['nsenter', `--user=/proc/${holder}/ns/user`, 'true']);
  assert.notEqual(code, 0);
  // A lock file that is the other's is not believed.
  chmodSync(owner.run, 0o755);
  const { code: refused, stderr } = await other.exec([launcher, 'unshare', 'true'], {
    env: { XDG_RUNTIME_DIR: owner.run },
  });
  assert.equal(refused, 0, stderr);
  assert.equal(other.holders().length, 1);
});

test(
  'root is not fooled by a user’s files: variables and folders of the user’s are nothing to it',
  { skip },
  async () => {
    await using lab = new UserLab();
    const victim = join(lab.dir, 'victim');
    writeFileSync(victim, 'kept', { mode: 0o600 });
    // A run directory full of traps, and root in the user's environment, as `sudo -E` leaves it.
    mkdirSync(join(lab.run, 'tare'));
    symlinkSync(victim, join(lab.run, 'tare/userns'));
    for (const path of [join(lab.run, 'tare')]) give(lab, path);
    const env = {
      TARE_ROOTLESS: `${lab.uid} ${lab.uid} 1`,
      _CONTAINERS_ROOTLESS_UID: String(lab.uid),
      _CONTAINERS_ROOTLESS_GID: String(lab.uid),
    };
    const { stdout, stderr } = await lab.exec([launcher, 'info', '--format', '{{.store.root}} {{.store.runRoot}}'], {
      env,
      root: true,
    });
    assert.equal(stdout, '/var/lib/tare /run/tare\n', stderr);
    assert.equal(readFileSync(victim, 'utf8'), 'kept');
    assert.equal(existsSync(lab.at('tare')), false);
  },
);

test('a container of a user’s does not reach the holder, the lock file or other monitors', { skip }, async () => {
  await using lab = new UserLab();
  await lab.ok('run', '-d', '--name', 'c', lab.source, 'sleep', '1000');
  // Not root of the namespace: an id of its own, as most programs in containers.
  const script = `cat ${lab.run}/tare/userns; ls /proc | grep -c '^[0-9]'; kill -9 -1; true`;
  const { code, stdout } = await lab.tare(
    'run',
    '--rm',
    '-u',
    '1000',
    '-v',
    `${lab.dir}:${lab.dir}`,
    lab.source,
    'sh',
    '-c',
    script,
  );
  assert.ok(code === 0 || code === 137, String(code));
  assert.ok(Number(stdout.trim()) < 10, stdout);
  assert.equal(lab.holders().length, 1);
  assert.equal(await lab.ok('ps', '--format', '{{.Names}}'), 'c');
});
