import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { busyboxEntries } from '../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { tarOf } from '../support/tar.ts';
import { canBeUser, give, UserLab } from './lab.ts';

const skip = canBeUser;

/** An image with other owners, a set-uid file, a link of two names and a symlink. */
async function pullImage(lab: UserLab): Promise<string> {
  const image = buildImage({
    layers: [
      tarOf([
        ...busyboxEntries('sh', 'cat', 'stat', 'touch', 'sleep', 'id'),
        { name: 'etc/', type: 'directory' },
        { name: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\nu:x:1000:1000::/:/bin/sh\n' },
        { name: 'u', content: 'u', uid: 1000, gid: 50, mode: 0o4755 },
        { name: 'first', content: 'linked', uid: 7, gid: 8 },
        { name: 'second', type: 'hardlink', link: 'first', uid: 7, gid: 8 },
        { name: 'link', type: 'symlink', link: '/nowhere', uid: 3, gid: 4 },
        { name: 'home/', type: 'directory', uid: 1000, gid: 1000 },
      ]),
    ],
    config: { User: '1000' },
  });
  const layout = join(lab.home, 'layout');
  writeLayout(layout, blobsOf(image), { t: image.manifest });
  return lab.ok('pull', '-q', `oci:${layout}:t`);
}

const owners = ['stat', '-c', '%u:%g:%a', '/', '/u', '/first', '/second', '/link', '/home'];
const expected = '0:0:555\n1000:50:4755\n7:8:644\n7:8:644\n3:4:777\n1000:1000:755';

test(
  '--userns keep-id: the user has the same id inside, files are whose the image says, exec and a second start as well',
  { skip },
  async () => {
    await using lab = new UserLab();
    const id = await pullImage(lab);
    const shared = join(lab.home, 'shared');
    mkdirSync(shared);
    give(lab, shared);
    const keep = ['--userns', 'keep-id'];
    assert.equal(await lab.ok('run', '--rm', ...keep, id, 'id', '-u'), String(lab.uid));
    assert.equal(await lab.ok('run', '--rm', ...keep, id, ...owners), expected);
    assert.equal(await lab.ok('run', '--rm', '--userns', 'keep-id:uid=1000,gid=1000', id, ...owners), expected);
    await lab.ok('run', '--rm', ...keep, '-v', `${shared}:/mnt`, id, 'touch', '/mnt/mine');
    assert.equal(statSync(join(shared, 'mine')).uid, lab.uid);
    await lab.ok('run', '--rm', '--userns', 'keep-id:uid=1000', '-v', `${shared}:/mnt`, id, 'touch', '/mnt/too');
    assert.equal(statSync(join(shared, 'too')).uid, lab.uid);
    // Root inside is not the user, though it may do what it likes with the files of those it has ids for.
    await lab.ok('run', '--rm', ...keep, '-u', '0', '-v', `${shared}:/mnt`, id, 'touch', '/mnt/root');
    assert.equal(statSync(join(shared, 'root')).uid, lab.subid);
    await lab.ok('run', '-d', '--name', 'c', ...keep, id, 'sleep', '1000');
    assert.equal(await lab.ok('exec', 'c', 'id', '-u'), String(lab.uid));
    assert.equal(await lab.ok('exec', '-u', 'u', 'c', 'id', '-u'), '1000');
    await lab.ok('stop', '-t', '0', 'c');
    await lab.ok('start', 'c');
    assert.equal(await lab.ok('exec', 'c', ...owners), expected);
    await lab.ok('rm', '-f', 'c');
    // The image's own files have not changed.
    assert.equal(await lab.ok('run', '--rm', id, ...owners), expected);
    assert.deepEqual(readdirSync(shared).sort(), ['mine', 'root', 'too']);
  },
);

test('--userns nomap: nothing inside is the user', { skip }, async () => {
  await using lab = new UserLab();
  const id = await pullImage(lab);
  const map = await lab.ok('run', '--rm', '--userns', 'nomap', id, 'cat', '/proc/self/uid_map');
  assert.deepEqual(map.trim().split(/\s+/), ['0', '1', '65536']);
  assert.equal(await lab.ok('run', '--rm', '--userns', 'nomap', id, ...owners), expected);
  const shared = join(lab.home, 'shared');
  mkdirSync(shared);
  give(lab, shared);
  const write = await lab.tare(
    'run',
    '--rm',
    '-u',
    '0',
    '--userns',
    'nomap',
    '-v',
    `${shared}:/mnt`,
    id,
    'touch',
    '/mnt/x',
  );
  assert.equal(write.code, 1);
  assert.equal(existsSync(join(shared, 'x')), false);
});

test('--userns: without subordinate ids keep-id still is the user, nomap is refused', { skip }, async () => {
  await using lab = new UserLab({ subids: '' });
  const kept = await lab.tare('run', '--rm', '--userns', 'keep-id', lab.source, 'id', '-u');
  assert.equal(kept.stdout, `${lab.uid}\n`, kept.stderr);
  assert.match(
    (await lab.tare('run', '--userns', 'nomap', lab.source, 'true')).stderr,
    /Cannot use --userns nomap: this user has no subordinate ids/,
  );
});

test(
  '--userns auto: ids of the user that no other container has, and maps by hand; files are whose the image says',
  { skip },
  async () => {
    await using lab = new UserLab();
    const id = await pullImage(lab);
    const lines = async (...argv: string[]): Promise<string[]> =>
      (await lab.ok(...argv)).split('\n').map((line) => line.trim().replace(/\s+/g, ':'));
    const map = ['cat', '/proc/self/uid_map', '/proc/self/gid_map'];
    // What has all ids of the user stands in nobody's way.
    await lab.ok('create', '--name', 'k', '--userns', 'keep-id', id, 'true');
    // The user is 0 outside, and nobody inside.
    assert.deepEqual(await lines('run', '--rm', '--userns', 'auto', id, ...map), ['0:1:1024', '0:1:1024']);
    assert.equal(await lab.ok('run', '--rm', '--userns', 'auto', '-u', '0', id, ...owners), expected);
    assert.deepEqual(await lines('run', '--rm', '--uidmap', '0:5:2000', '--gidmap', '0:1:2000', id, ...map), [
      '0:5:2000',
      '0:1:2000',
    ]);
    await lab.ok('run', '-d', '--name', 'a', '--userns', 'auto', '--init', '-u', '0', id, 'sleep', '1000');
    await lab.ok('create', '--name', 'h', '--userns', 'auto', lab.source, 'true');
    assert.deepEqual(await lines('run', '--rm', '--userns', 'auto', id, ...map), ['0:1025:1024', '0:1025:1024']);
    assert.equal(
      await lab.ok('inspect', '--format', '{{index .HostConfig.IDMappings.UidMap 0}}', 'h'),
      '0:64513:1024',
      'podman begins at the other end',
    );
    await lab.ok('exec', 'a', 'sh', '-c', 'test "$(id -u)" = 0 && touch /new');
    assert.equal(await lab.ok('diff', 'a'), 'A /new', 'what was copied for its owner is no change');
    await lab.ok('commit', '-q', 'a', 'committed');
    const own = ['stat', '-c', '%u:%g', '/new', '/u', '/first'];
    assert.equal(await lab.ok('run', '--rm', 'committed', ...own), '0:0\n1000:50\n7:8');
    await lab.ok('stop', '-t', '0', 'a');
    await lab.ok('start', 'a');
    assert.equal(await lab.ok('exec', 'a', ...owners), expected);
    const all = await lab.tare('run', '--userns', 'auto:size=63489', id, 'true');
    assert.match(all.stderr, /Cannot give the container 63489 uids: 63488 of 65536 are free/);
    await lab.ok('rm', '-f', 'a', 'h', 'k');
    assert.match(
      (await lab.tare('run', '--uidmap', '0:0:70000', id, 'true')).stderr,
      /host id 65537 is not yours; you have 0 \(yourself\) to 65536 \(your sub-ids\)/,
    );
    const mapped = await lab.tare('run', '--rm', '--userns', 'auto', '-v', `${lab.home}:/mnt:idmap`, id, 'true');
    assert.match(mapped.stderr, /Cannot mount \S+ with other owners: only the machine's root can; leave idmap away/);
  },
);

test('--userns auto: without subordinate ids there is nothing to give', { skip }, async () => {
  await using lab = new UserLab({ subids: '' });
  assert.match(
    (await lab.tare('run', '--userns', 'auto', lab.source, 'true')).stderr,
    /Cannot use --userns auto: this user has no subordinate ids/,
  );
});
