import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Lab } from '../engine/lab.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { tarOf } from '../support/tar.ts';
import { canBeUser, give, UserLab } from './lab.ts';

const skip = canBeUser;

/** An image with other owners, a set-uid file, a link of two names and a symlink. */
async function pullImage(lab: UserLab): Promise<string> {
  const link = (name: string) => ({ name: `bin/${name}`, type: 'symlink' as const, link: 'busybox' });
  const image = buildImage({
    layers: [
      tarOf([
        { name: 'bin/', type: 'directory' },
        { name: 'bin/busybox', mode: 0o755, content: readFileSync('/bin/busybox') },
        ...['sh', 'cat', 'stat', 'touch', 'sleep', 'id'].map(link),
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

test('--userns: root is told what there is instead, and nothing is made', { skip }, async () => {
  await using lab = new Lab();
  for (const mode of ['keep-id', 'nomap', 'auto', 'nonsense']) {
    const { code, stderr } = await lab.tare('run', '--userns', mode, lab.source, 'true');
    assert.equal(code, 125);
    assert.match(stderr, new RegExp(`^Error: Cannot use --userns ${mode}: `));
  }
  assert.equal((await lab.tare('run', '--rm', '--userns', 'host', lab.source, 'true')).code, 0);
  assert.deepEqual(await lab.leftovers(), []);
});
