import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAlive, launcher, until } from '../engine/lab.ts';
import { canBeUser, pssOf, UserLab } from './lab.ts';

const skip = canBeUser;
const namespaceOf = (lab: UserLab) => lab.ok('unshare', 'readlink', '/proc/self/ns/user');

test(
  'the launcher: commands that start at once are in one user namespace, root is the user, 1 and on are the subordinate ids',
  { skip },
  async () => {
    await using lab = new UserLab();
    const seen = await Promise.all(Array.from({ length: 12 }, () => namespaceOf(lab)));
    assert.equal(new Set(seen).size, 1, seen.join(' '));
    assert.equal(lab.holders().length, 1);
    const map = await lab.ok('unshare', 'cat', '/proc/self/uid_map', '/proc/self/gid_map');
    const half = [
      ['0', String(lab.uid), '1'],
      ['1', String(lab.subid), '65536'],
    ];
    assert.deepEqual(
      map.split('\n').map((line) => line.trim().split(/\s+/)),
      [...half, ...half],
    );
    assert.equal(await lab.ok('unshare', 'id', '-u'), '0');
  },
);

test('the launcher: a second start joins, sees the same directory, and keeps the environment', { skip }, async () => {
  await using lab = new UserLab();
  const first = await namespaceOf(lab);
  mkdirSync(join(lab.home, 'a b'));
  chownSync(join(lab.home, 'a b'), lab.uid, lab.uid);
  const { stdout } = await lab.exec([launcher, 'unshare', 'sh', '-c', 'pwd; echo $NODE_OPTIONS; echo $HOME'], {
    cwd: join(lab.home, 'a b'),
    env: { NODE_OPTIONS: '--throw-deprecation' },
  });
  assert.equal(stdout, `${lab.home}/a b\n--throw-deprecation\n${lab.home}\n`);
  assert.equal(await namespaceOf(lab), first);
  assert.equal(lab.holders().length, 1);
});

test(
  'the launcher: a directory that was mounted after the first command is still the one a command is in',
  { skip },
  async () => {
    await using lab = new UserLab();
    await namespaceOf(lab);
    const point = join(lab.dir, 'later');
    mkdirSync(point);
    const script = `mount --make-rprivate / && mount -t tmpfs -o mode=777 none ${point} && echo here > ${point}/file && cd ${point} && exec setpriv --reuid=${lab.uid} --regid=${lab.uid} --clear-groups ${launcher} unshare cat file`;
    const { code, stdout, stderr } = await lab.exec(['unshare', '--mount', 'sh', '-c', script], { root: true });
    assert.equal(stdout, 'here\n', stderr);
    assert.equal(code, 0);
  },
);

test(
  'the holder: killed with -9 while a container runs, the next commands find the same namespace by its monitor',
  { skip },
  async () => {
    await using lab = new UserLab();
    await lab.ok('run', '-d', '--name', 'c', lab.source, 'sleep', '1000');
    const before = await namespaceOf(lab);
    const [holder = 0] = lab.holders();
    process.kill(holder, 'SIGKILL');
    await until(() => !isAlive(holder), 10_000, 'the holder is dead');
    const seen = await Promise.all(Array.from({ length: 6 }, () => lab.ok('exec', 'c', 'echo', 'in')));
    assert.deepEqual(
      seen,
      Array.from({ length: 6 }, () => 'in'),
    );
    assert.equal(await namespaceOf(lab), before);
    assert.equal(lab.holders().length, 1);
    await lab.ok('rm', '-f', 'c');
  },
);

test('the holder: killed with -9 while nothing runs, there is a new one', { skip }, async () => {
  await using lab = new UserLab();
  await namespaceOf(lab);
  const [holder = 0] = lab.holders();
  process.kill(holder, 'SIGKILL');
  await until(() => !isAlive(holder), 10_000, 'the holder is dead');
  await namespaceOf(lab);
  assert.equal(lab.holders().length, 1);
});

test(
  'the holder: commands killed with -9 while they make the namespace leave at most one that works',
  { skip },
  async () => {
    await using lab = new UserLab();
    for (let round = 0; round < 8; round++) {
      const child = lab.spawn([launcher, 'unshare', 'true']);
      await new Promise((resolve) => setTimeout(resolve, round * 3));
      for (const { pid, command } of lab.processes()) {
        if (!command.startsWith(launcher) && !command.startsWith('newuidmap')) continue;
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It ended meanwhile.
        }
      }
      await new Promise((resolve) => child.once('close', resolve));
    }
    await namespaceOf(lab);
    await until(() => lab.holders().length === 1, 10_000, 'there is one holder');
  },
);

test(
  'the holder: holds nothing of its caller, costs next to nothing, and leaves when its lock file goes',
  { skip },
  async () => {
    await using lab = new UserLab();
    // Its streams would never end otherwise.
    await lab.exec(['sh', '-c', `${launcher} unshare true | cat`]);
    const [holder = 0] = lab.holders();
    assert.ok(pssOf(holder) <= 200, `${pssOf(holder)} kB`);
    rmSync(join(lab.run, 'tare/userns'));
    await until(() => !isAlive(holder), 10_000, 'the holder has left');
    await namespaceOf(lab);
    assert.equal(lab.holders().length, 1);
  },
);

test(
  'tare system migrate: stops what runs, and the next command has the subordinate ids of then',
  { skip },
  async () => {
    await using lab = new UserLab();
    await lab.ok('run', '-d', '--name', 'c', '--stop-timeout', '0', lab.source, 'sleep', '1000');
    await lab.ok('run', '-d', '--name', 'again', '--restart', 'always', lab.source, 'false');
    // Its pauses grow: soon it is nearly always waiting for its next start.
    for (let status = ''; !status.startsWith('Restarting');)
      status = await lab.ok('ps', '--filter', 'name=again', '--format', '{{.Status}}');
    lab.setSubids(`${lab.name}:${lab.subid}:1000\n`);
    assert.match(await lab.ok('unshare', 'cat', '/proc/self/uid_map'), / 65536$/);
    const stopped = await lab.ok('system', 'migrate');
    assert.deepEqual(stopped.split('\n').sort(), ['again', 'c']);
    assert.deepEqual(lab.holders(), []);
    assert.match(await lab.ok('unshare', 'cat', '/proc/self/uid_map'), / 1000$/);
    const statuses = (await lab.ok('ps', '-a', '--format', '{{.Status}}')).split('\n');
    assert.deepEqual(
      statuses.map((status) => status.split(' ')[0]),
      ['Exited', 'Exited'],
    );
  },
);

test(
  'subordinate ids: several ranges in the file’s order, by name or number; lines that are none give nothing',
  { skip },
  async () => {
    await using lab = new UserLab();
    const { name, uid, subid } = lab;
    const first = `${name}:${subid + 5000}:100`;
    lab.setSubids(
      `# comment\n\n${name}\n${name}:\n${name}:-1:5\n${name}:1e3:5\n${name}:${subid}:0\n${name}x:${subid}:9\n:${subid}:9\n${name}:4294967290:100\n${name}:99999999999999999999:1\n${name}:${subid}:4294967297\n${first}\n${uid}:${subid}:50\n${'x'.repeat(100_000)}:1:1\n`,
    );
    const lines = (await lab.ok('unshare', 'cat', '/proc/self/uid_map')).split('\n');
    assert.deepEqual(
      lines.map((line) => line.trim().split(/\s+/).map(Number)),
      [
        [0, uid, 1],
        [1, subid + 5000, 100],
        [101, subid, 50],
      ],
    );
  },
);

test(
  'subordinate ids: the machine’s root is never among them; a map that the kernel refuses is an error, and nothing is left',
  { skip },
  async () => {
    await using lab = new UserLab();
    lab.setSubids(`${lab.name}:0:10\n${lab.name}:${lab.uid}:10\n`);
    const { code, stderr } = await lab.tare('unshare', 'true');
    assert.equal(code, 125);
    assert.match(stderr, /^newuidmap: .*\ntare: Cannot map the subordinate ids of tare\d+: .*\n$/);
    await until(() => lab.processes().length === 0, 10_000, 'no half-made holder');
    lab.setSubids(`${lab.name}:0:10\n`);
    assert.match((await lab.tare('unshare', 'cat', '/proc/self/uid_map')).stderr, /^tare: Only one user/);
  },
);

test('without subordinate ids: one line says what to do, once, and a container of one id runs', { skip }, async () => {
  await using lab = new UserLab({ subids: 'somebody-else:5:5\n' });
  const first = await lab.tare('run', '--rm', lab.source, 'id', '-u');
  assert.equal(first.stdout, '0\n', first.stderr);
  assert.match(
    first.stderr,
    /^tare: Only one user and group can be used: .*usermod --add-subuids .*system migrate`\n$/,
  );
  const second = await lab.tare('run', '--rm', '-t', lab.source, 'id', '-g');
  assert.deepEqual([second.stderr, second.stdout.trim()], ['', '0']);
  const other = await lab.tare('run', '--rm', '-u', '1000', lab.source, 'true');
  assert.equal(other.code, 125);
  assert.match(other.stderr, /^Error: Cannot run as user 1000: this user has 1 user id /);
});

test('shared directories: what is not this user’s alone is refused, or passed over', { skip }, async () => {
  await using lab = new UserLab();
  // After su the variable is still the other user's.
  const { stdout } = await lab.exec([launcher, 'unshare', 'sh', '-c', 'echo $XDG_RUNTIME_DIR'], {
    env: { XDG_RUNTIME_DIR: '/root' },
  });
  assert.equal(stdout, `/tmp/podman-run-${lab.uid}\n`);
  const place = `/tmp/podman-run-${lab.uid}`;
  const refused = async (): Promise<void> => {
    const { code, stderr } = await lab.exec([launcher, 'ps'], { env: { XDG_RUNTIME_DIR: '' } });
    assert.equal(code, 125);
    assert.match(stderr, /^tare: Cannot use \/tmp\/podman-run-\d+: it is not a directory of this user alone/);
  };
  rmSync(place, { recursive: true });
  mkdirSync(place, { mode: 0o777 });
  await refused();
  rmSync(place, { recursive: true });
  symlinkSync(lab.run, place);
  await refused();
  rmSync(place);
  writeFileSync(place, '');
  await refused();
});

test('the lock file: a link, another’s file or a pipe is not taken for it', { skip }, async () => {
  await using lab = new UserLab();
  mkdirSync(join(lab.run, 'tare'), { mode: 0o700 });
  chownSync(join(lab.run, 'tare'), lab.uid, lab.uid);
  const lock = join(lab.run, 'tare/userns');
  const victim = join(lab.home, 'victim');
  writeFileSync(victim, 'kept');
  for (const spoil of [() => symlinkSync(victim, lock), () => writeFileSync(lock, ''), () => mkdirSync(lock)]) {
    spoil();
    const { code, stderr } = await lab.tare('ps');
    assert.equal(code, 125);
    assert.match(stderr, /^tare: Cannot use .*\/tare\/userns: /);
    rmSync(lock, { recursive: true });
  }
  assert.equal(readFileSync(victim, 'utf8'), 'kept');
});

test('TARE_ROOTLESS: root does not believe it of somebody else', { skip }, async () => {
  await using lab = new UserLab();
  const env = { TARE_ROOTLESS: `${lab.uid} ${lab.uid} 1`, TARE_HIDDEN_X: 'y' };
  const { stdout } = await lab.exec([launcher, 'info', '--format', '{{.store.root}}'], { env, root: true });
  assert.doesNotMatch(stdout, new RegExp(lab.home));
  const { code, stderr } = await lab.exec([launcher, 'unshare', 'true'], { env, root: true });
  assert.equal(code, 125);
  assert.match(stderr, /^Error: Cannot enter a user namespace: root needs none/);
  assert.equal(existsSync(lab.at('tare')), false);
});

test('tare unshare: exit codes of a shell', { skip }, async () => {
  await using lab = new UserLab();
  assert.equal((await lab.tare('unshare', 'sh', '-c', 'exit 7')).code, 7);
  assert.equal((await lab.tare('unshare', 'no-such-program')).code, 127);
  assert.equal((await lab.tare('unshare', '/etc/passwd')).code, 126);
  assert.equal((await lab.tare('unshare', '--no-such-flag')).code, 125);
  // Nested: the same user, the same places.
  const nested = await lab.ok('unshare', launcher, 'unshare', 'id', '-u');
  assert.equal(nested, '0');
});
