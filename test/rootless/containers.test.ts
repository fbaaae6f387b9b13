import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAlive, read, until } from '../engine/lab.ts';
import { busyboxEntries } from '../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { tarOf } from '../support/tar.ts';
import { canBeUser, give, UserLab } from './lab.ts';

const skip = canBeUser;

test(
  'a container of an unprivileged user: isolated, with its own ids, without a word about cgroups',
  { skip },
  async () => {
    await using lab = new UserLab();
    const script =
      'id -u; cat /proc/self/setgroups; ls /sys/fs/cgroup | wc -l; ps | wc -l; ls -ln /dev/null | cut -c1; ip link | grep -c ^';
    const { code, stdout, stderr } = await lab.tare('run', '--rm', lab.source, 'sh', '-c', script);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    const [id, setgroups, , , type] = stdout.split('\n');
    assert.deepEqual([id, setgroups, type], ['0', 'allow', 'c']);
    assert.equal(await lab.ok('run', '--rm', '-u', 'user', lab.source, 'id', '-u'), '1000');
    assert.equal(await lab.ok('run', '--rm', '-u', '65536', lab.source, 'id', '-u'), '65536');
    const beyond = await lab.tare('run', '--rm', '-u', '65537', lab.source, 'true');
    assert.match(beyond.stderr, /^Error: Cannot run as user 65537: this user has 65537 user ids/);
  },
);

test('the life of a container: run -d, exec, logs, stop, start, inspect, diff, rm', { skip }, async () => {
  await using lab = new UserLab();
  await lab.ok('run', '-d', '--name', 'c', lab.source, 'sh', '-c', 'echo hello; touch /new; sleep 1000');
  assert.equal(await lab.ok('exec', 'c', 'id', '-u'), '0');
  assert.equal(await lab.ok('exec', '-u', '1000:50', 'c', 'id', '-g'), '50');
  assert.equal((await lab.ok('exec', '-t', 'c', 'echo', 'tty')).trim(), 'tty');
  for (let tries = 0; (await lab.ok('logs', 'c')) !== 'hello'; tries++) assert.ok(tries < 100);
  assert.equal(await lab.ok('stop', '-t', '0', 'c'), 'c');
  assert.match(await lab.ok('diff', 'c'), /^A \/new$/m);
  await lab.ok('start', 'c');
  assert.equal(await lab.ok('inspect', '--format', '{{.State.Status}}', 'c'), 'running');
  await lab.ok('rm', '-f', 'c');
  assert.equal(await lab.ok('ps', '-aq'), '');
  for (const dir of ['containers', 'names', 'scratch', 'trash'])
    assert.deepEqual(
      readdirSync(lab.at('tare', dir)).filter((name) => name !== '.creating'),
      [],
      dir,
    );
});

test('secrets: files and variables, with ids of the user’s', { skip }, async () => {
  await using lab = new UserLab();
  const value = join(lab.home, 'value');
  writeFileSync(value, 'v');
  give(lab, value);
  await lab.ok('secret', 'create', 's', value);
  const script = 'cat /run/secrets/s; echo " $S $(stat -c "%u %g %a" /run/secrets/s) $(stat -f -c %T /run/secrets/s)"';
  const how = ['--secret', 's,uid=7,gid=8,mode=0440', '--secret', 's,type=env,target=S'];
  assert.equal(await lab.ok('run', '--rm', ...how, lab.source, 'sh', '-c', script), 'v v 7 8 440 tmpfs');
  assert.equal(statSync(lab.at('tare', 'secrets/s/data')).mode & 0o777, 0o600);
  await lab.ok('secret', 'rm', 's');
  assert.equal(await lab.ok('secret', 'ls', '-q'), '');
});

test('init, and a restart policy that comes after the start', { skip }, async () => {
  await using lab = new UserLab();
  await lab.ok('create', '--name', 'c', lab.source, 'sh', '-c', 'echo run; sleep 0.5; exit 3');
  await lab.ok('init', 'c');
  const state = (): Promise<string> => lab.ok('inspect', '--format', '{{.State.Status}} {{.RestartCount}}', 'c');
  assert.equal(await state(), 'initialized 0');
  await lab.ok('stop', 'c');
  assert.equal(await state(), 'created 0');
  await lab.ok('init', 'c');
  await lab.ok('update', '--restart', 'on-failure:2', 'c');
  await lab.ok('start', 'c');
  for (let tries = 0; (await state()) !== 'exited 2'; tries++) assert.ok(tries < 100, await state());
  assert.equal(await lab.ok('logs', 'c'), 'run\nrun\nrun');
  await lab.ok('rm', 'c');
});

test(
  'files: a bound directory is the user’s own to the container’s root, and not to others in it',
  { skip },
  async () => {
    await using lab = new UserLab();
    const dir = join(lab.home, 'shared');
    mkdirSync(dir, { mode: 0o755 });
    give(lab, dir);
    await lab.ok('run', '--rm', '-v', `${dir}:/mnt`, lab.source, 'touch', '/mnt/mine');
    assert.equal(statSync(join(dir, 'mine')).uid, lab.uid);
    const other = await lab.tare('run', '--rm', '-u', '1000', '-v', `${dir}:/mnt`, lab.source, 'touch', '/mnt/theirs');
    assert.equal(other.code, 1);
    await lab.ok('run', '--rm', '-v', `${dir}:/mnt`, lab.source, 'sh', '-c', 'mkdir -m 777 /mnt/open');
    await lab.ok('run', '--rm', '-u', '1000', '-v', `${dir}:/mnt`, lab.source, 'touch', '/mnt/open/theirs');
    assert.equal(statSync(join(dir, 'open/theirs')).uid, lab.subid + 999);
    // Not the user's by now, but the user's to delete.
    await lab.ok('unshare', 'rm', '-r', join(dir, 'open'));
    assert.deepEqual(readdirSync(dir), ['mine']);
  },
);

test('the machine’s files: a container has no more rights over them than the user', { skip }, async () => {
  await using lab = new UserLab();
  const secret = join(lab.dir, 'root-only');
  writeFileSync(secret, 'secret', { mode: 0o600 });
  for (const flags of [[], ['--privileged'], ['--cap-add', 'ALL', '--security-opt', 'seccomp=unconfined']]) {
    const { code, stdout } = await lab.tare(
      'run',
      '--rm',
      ...flags,
      '-v',
      `${lab.dir}:/mnt`,
      lab.source,
      'cat',
      '/mnt/root-only',
    );
    assert.deepEqual([code, stdout], [1, ''], flags.join(' '));
    const device = await lab.tare('run', '--rm', ...flags, lab.source, 'mknod', '/disk', 'b', '254', '0');
    assert.equal(device.code, 1, flags.join(' '));
  }
});

test('host:, host network and host:/path: the machine as the user sees it', { skip }, async () => {
  await using lab = new UserLab();
  const { code, stdout, stderr } = await lab.tare(
    'run',
    '--rm',
    'host:',
    'sh',
    '-c',
    `id -u; ls -d /usr/bin; touch /made; ls ${lab.at('tare')} | wc -l`,
  );
  assert.deepEqual([code, stdout], [0, '0\n/usr/bin\n0\n'], stderr);
  assert.equal(existsSync('/made'), false);
  assert.equal(await lab.ok('run', '--rm', `host:${lab.rootfs}`, 'sh', '-c', 'rm /data/one; ls /data'), 'below\ntwo');
  assert.equal(existsSync(join(lab.rootfs, 'data/one')), true);
  const host = read('/proc/net/dev').split('\n').length;
  assert.equal(
    await lab.ok('run', '--rm', '--network', 'host', lab.source, 'sh', '-c', 'cat /proc/net/dev | wc -l'),
    String(host - 1),
  );
  const write = await lab.tare('run', '--rm', '--network', 'host', lab.source, 'sh', '-c', 'touch /sys/made');
  assert.match(write.stderr, /Read-only file system/);
});

test(
  'limits that the user may not set: one warning, and the container runs',
  { skip: skip || (existsSync('/sys/fs/cgroup/memory') ? false : 'cannot here: controllers are on cgroup v2') },
  async () => {
    await using lab = new UserLab();
    const asked = await lab.tare('run', '--rm', '-m', '64m', '--pids-limit', '50', '--cpus', '1', lab.source, 'true');
    assert.equal(asked.code, 0);
    assert.match(
      asked.stderr,
      /^Warning: Limits of memory, cpu, pids are not applied: .*\n$|^Warning: Limits of cpu, memory, pids are not applied: .*\n$/,
    );
    const quiet = await lab.tare('run', '--rm', lab.source, 'true');
    assert.equal(quiet.stderr, '');
    const limit = await lab.tare('run', '--rm', '--ulimit', 'nofile=100000000:100000000', lab.source, 'true');
    assert.equal(limit.code, 125);
    assert.match(limit.stderr, /^Error: Cannot set limit nofile: .*above the hard limit/);
    const score = await lab.ok('run', '--rm', '--ulimit', 'nofile=50:60', lab.source, 'sh', '-c', 'ulimit -n');
    assert.equal(score, '50');
  },
);

test('kill -9 of a monitor: its container dies with it, and the next command says so', { skip }, async () => {
  await using lab = new UserLab();
  await lab.ok('run', '-d', '--name', 'c', lab.source, 'sleep', '1000');
  await lab.ok('run', '-d', '--rm', '--name', 'r', lab.source, 'sleep', '1000');
  const monitors = lab.processes().filter(({ command }) => command.startsWith('tare: monitor '));
  assert.equal(monitors.length, 2);
  const inside = lab.processes().filter(({ command }) => command === 'sleep 1000');
  assert.equal(inside.length, 2);
  for (const { pid } of monitors) process.kill(pid, 'SIGKILL');
  await until(() => inside.every(({ pid }) => !isAlive(pid)), 20_000, 'the containers are dead');
  assert.match(await lab.ok('ps', '-a', '--format', '{{.Names}} {{.Status}}'), /^c Exited \(137\)[^\n]*$/);
  await lab.ok('rm', 'c');
});

/** What an unprivileged user must get right: owners, a device to be skipped, a whiteout, an opaque directory. */
function writeImage(lab: UserLab): string {
  const base = tarOf([
    ...busyboxEntries('sh', 'cat', 'ls', 'stat', 'rm', 'mkdir', 'touch', 'id'),
    { name: 'etc/', type: 'directory' },
    { name: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\nu:x:1000:1000::/:/bin/sh\n' },
    { name: 'home/', type: 'directory' },
    { name: 'home/u', content: 'u', uid: 1000, gid: 50, mode: 0o4750 },
    { name: 'd/', type: 'directory' },
    { name: 'd/old', content: 'old' },
    { name: 'gone', content: 'x' },
    { name: 'node', type: 'char', device: [1, 3] },
  ]);
  const top = tarOf([
    { name: 'd/', type: 'directory' },
    { name: 'd/.wh..wh..opq', content: '' },
    { name: 'd/new', content: 'new' },
    { name: '.wh.gone', content: '' },
  ]);
  const image = buildImage({ layers: [base, top], config: { Cmd: ['cat', '/d/new'], User: 'u' } });
  const layout = join(lab.home, 'layout');
  writeLayout(layout, blobsOf(image), { t: image.manifest });
  return `oci:${layout}:t`;
}

test('an image: unpacked with its owners, without its devices, run, changed, pushed as it came', { skip }, async () => {
  await using lab = new UserLab();
  await lab.ok('pull', writeImage(lab));
  const id = await lab.ok('images', '-q');
  assert.equal(await lab.ok('run', '--rm', id), 'new');
  assert.equal(
    await lab.ok(
      'run',
      '--rm',
      '-u',
      '0',
      id,
      'sh',
      '-c',
      'stat -c %u:%g:%a /home/u; ls /d; ls /gone /node 2>&1 | wc -l',
    ),
    '1000:50:4750\nnew\n2',
  );
  await lab.ok(
    'create',
    '--name',
    'c',
    '-u',
    '0',
    id,
    'sh',
    '-c',
    'rm -r /home; mkdir /home; touch /home/x; rm /etc/passwd',
  );
  await lab.ok('start', '-a', 'c');
  assert.equal(await lab.ok('diff', 'c'), 'C /etc\nD /etc/passwd\nC /home\nD /home/u\nA /home/x');
  await lab.ok('push', id, `oci:${join(lab.home, 'out')}:t`);
  const digest = (layout: string) =>
    (JSON.parse(read(join(lab.home, layout, 'index.json'))) as { manifests: { digest: string }[] }).manifests[0]
      ?.digest;
  assert.equal(digest('out'), digest('layout'));
  await lab.ok('rm', 'c');
  await lab.ok('rmi', id);
  assert.equal(await lab.ok('images', '-q'), '');
  // In the user's own place, and nothing of it is anybody else's.
  assert.equal(statSync(lab.at('containers/storage')).uid, lab.uid);
});

test('an image with other owners in a namespace of one id: the error says what is missing', { skip }, async () => {
  await using lab = new UserLab({ subids: '' });
  const { code, stderr } = await lab.tare('pull', writeImage(lab));
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^Error: Cannot unpack layer: "home\/u": its owner is not among the ids of this user; .*\/etc\/subuid/m,
  );
  assert.equal(await lab.ok('images', '-q'), '');
});

test('storage.conf of the user moves the store, the machine’s does not', { skip }, async () => {
  await using lab = new UserLab();
  const config = join(lab.home, '.config/containers');
  mkdirSync(config, { recursive: true });
  writeFileSync(
    join(config, 'storage.conf'),
    '[storage]\ndriver = "overlay"\ngraphroot = "$HOME/elsewhere"\nrunroot = "$HOME/run-$UID"\n',
  );
  for (const dir of [join(lab.home, '.config'), config]) give(lab, dir);
  await lab.ok('pull', writeImage(lab));
  assert.equal(existsSync(join(lab.home, 'elsewhere/overlay-images')), true);
  assert.equal(existsSync(join(lab.home, `run-${lab.uid}/overlay-layers`)), true);
  assert.equal(existsSync(lab.at('containers')), false);
});

test(
  'limits below a cgroup that was given to the user are applied, for exec as well, and the cgroup goes with the container',
  { skip: skip || needs.path('/sys/fs/cgroup/memory/tasks') || needs.path('/sys/fs/cgroup/pids/tasks') },
  async () => {
    await using lab = new UserLab();
    const parent = `tare-test-user-${lab.uid}`;
    using given = new DisposableStack();
    for (const controller of ['memory', 'pids']) {
      const dir = `/sys/fs/cgroup/${controller}/${parent}`;
      mkdirSync(dir);
      given.defer(() => rmdirSync(dir));
      give(lab, dir);
    }
    const tare = (...args: string[]) => lab.ok(`--cgroup-parent=/${parent}`, ...args);
    const id = await tare('run', '-d', '--name', 'c', '-m', '64m', '--pids-limit', '9', lab.source, 'sleep', '1000');
    assert.equal(read(`/sys/fs/cgroup/memory/${parent}/${id}/memory.limit_in_bytes`).trim(), String(64 * 1024 ** 2));
    assert.equal(read(`/sys/fs/cgroup/pids/${parent}/${id}/pids.max`).trim(), '9');
    const tasks = () => read(`/sys/fs/cgroup/pids/${parent}/${id}/tasks`).trim().split('\n').length;
    assert.equal(tasks(), 1);
    await tare('exec', '-d', 'c', 'sleep', '1000');
    assert.equal(tasks(), 2);
    await tare('rm', '-f', 'c');
    assert.equal(existsSync(`/sys/fs/cgroup/pids/${parent}/${id}`), false);
  },
);
