/** Volumes of an unprivileged user: in their own root, with the ids that the user has. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { dataEntries, look, seen } from '../engine/volume-lab.ts';
import { busyboxEntries } from '../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { tarOf } from '../support/tar.ts';
import { canBeUser, give, UserLab } from './lab.ts';

const skip = canBeUser;

async function pull(lab: UserLab): Promise<void> {
  const layer = tarOf([
    ...busyboxEntries('sh', 'cat', 'stat', 'touch', 'ls', 'true', 'mount', 'grep', 'id'),
    { name: 'etc/', type: 'directory' },
    { name: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\nu:x:1000:1001::/:/bin/sh\n' },
    ...dataEntries,
  ]);
  const layout = join(lab.home, 'layout');
  mkdirSync(layout);
  const image = buildImage({ layers: [layer], config: { Env: ['PATH=/bin'], Volumes: { '/data': {} } } });
  writeLayout(layout, blobsOf(image), { v: image.manifest });
  give(lab, layout);
  await lab.ok('pull', '-q', `oci:${layout}:v`);
}

test(
  "volumes of a user: the image's are filled, named ones shared, exported and imported; nothing needs root",
  { skip },
  async () => {
    await using lab = new UserLab();
    await pull(lab);
    assert.equal(await lab.ok('run', '--rm', 'v', 'sh', '-c', look), seen);
    assert.equal(await lab.ok('volume', 'ls', '-q'), '');
    assert.equal(await lab.ok('run', '--rm', '-v', 'data:/data', 'v', 'sh', '-c', look), seen);
    const place = await lab.ok('volume', 'inspect', '-f', '{{.Mountpoint}}', 'data');
    assert.equal(place, lab.at('tare/volumes/data/_data'));
    assert.equal(statSync(join(place, 'file')).uid, lab.subid + 69, 'id 70 of the user');
    await lab.ok('run', '--rm', '-v', 'data:/data:U', '-u', 'u', 'v', 'touch', '/data/mine');
    assert.equal(statSync(join(place, 'mine')).uid, lab.subid + 999);
    await lab.ok('volume', 'export', '-o', join(lab.home, 'data.tar'), 'data');
    await lab.ok('volume', 'create', 'copy');
    await lab.ok('volume', 'import', 'copy', join(lab.home, 'data.tar'));
    assert.equal(
      await lab.ok('run', '--rm', '-v', 'copy:/c', 'v', 'stat', '-c', '%u:%g', '/c', '/c/mine'),
      '1000:1001\n1000:1001',
    );
    await lab.ok('volume', 'create', '-o', 'type=tmpfs', '-o', 'o=size=1m', 'mem');
    assert.match(await lab.ok('run', '--rm', '-v', 'mem:/m', 'v', 'sh', '-c', 'mount | grep " /m "'), /size=1024k/);
    await lab.ok('volume', 'create', '-o', 'type=ext4', '-o', 'device=/dev/vda', 'disk');
    const disk = await lab.tare('run', '--rm', '-v', 'disk:/m', 'v', 'true');
    assert.match(
      disk.stderr,
      /^Error: Cannot mount volume disk \(ext4 of \/dev\/vda\): .*only the machine's root may mount that$/m,
    );
    assert.equal(
      await lab.ok(
        'run',
        '--rm',
        '--mount',
        'type=image,src=v,dst=/i,rw',
        'v',
        'sh',
        '-c',
        'touch /i/new && ls /i/data/sub',
      ),
      'hard',
    );
    await lab.ok('volume', 'rm', '-a');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('volumes of a user in a user namespace of their own: the owners are its ids', { skip }, async () => {
  await using lab = new UserLab();
  await pull(lab);
  const keep = ['run', '--rm', '--userns', 'keep-id', '-u', '0'];
  assert.equal(await lab.ok(...keep, '-v', 'kept:/data', 'v', 'sh', '-c', look), seen);
  assert.equal(
    await lab.ok('run', '--rm', '--userns', 'keep-id', '-v', 'own:/own:U', 'v', 'stat', '-c', '%u', '/own'),
    String(lab.uid),
  );
  assert.equal(statSync(lab.at('tare/volumes/own/_data')).uid, lab.uid);
  await lab.ok('volume', 'rm', 'own', 'kept');
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  "another user's volumes are out of reach, and a bind with U leaves the system's directories alone",
  { skip },
  async () => {
    await using lab = new UserLab();
    await pull(lab);
    await lab.ok('volume', 'create', 'private');
    const other = 60_999;
    const { code } = await lab.exec(['ls', lab.at('tare/volumes')], { uid: other });
    assert.notEqual(code, 0);
    const mine = join(lab.home, 'mine');
    mkdirSync(mine);
    writeFileSync(join(mine, 'f'), '');
    give(lab, mine);
    give(lab, join(mine, 'f'));
    await lab.ok('run', '--rm', '-v', `${mine}:/m:U`, '-u', 'u', 'v', 'touch', '/m/new');
    assert.deepEqual(readdirSync(mine).sort(), ['f', 'new']);
    assert.equal(statSync(join(mine, 'f')).uid, lab.subid + 999);
    assert.match(
      (await lab.tare('run', '--rm', '-v', '/tmp:/m:U', 'v', 'true')).stderr,
      /Cannot use option U for \/tmp/,
    );
    await lab.ok('volume', 'rm', 'private');
    assert.ok(!existsSync(lab.at('tare/volumes/private')));
    assert.deepEqual(await lab.leftovers(), []);
  },
);
