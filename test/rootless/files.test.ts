/** Files and images of an unprivileged user's containers. */
import assert from 'node:assert/strict';
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { launcher } from '../engine/lab.ts';
import { canBeUser, give, UserLab } from './lab.ts';

test('cp, export, import, commit: files belong to whom they should on both sides', { skip: canBeUser }, async () => {
  await using lab = new UserLab();
  const dir = join(lab.home, 'files');
  mkdirSync(dir);
  writeFileSync(join(dir, 'mine'), 'mine');
  give(lab, dir);
  const shell = async (script: string): Promise<string> => {
    const { code, stdout, stderr } = await lab.exec(['sh', '-ec', script]);
    assert.equal(code, 0, stderr);
    return stdout.trimEnd();
  };
  await lab.ok(
    'run',
    '-d',
    '--name',
    'c',
    lab.source,
    'sh',
    '-c',
    'echo x >/new; chown 1000:50 /new; rm -r /data; mkdir /data; sleep 1000',
  );
  await lab.ok('cp', dir, 'c:/tmp');
  assert.equal(await lab.ok('exec', 'c', 'stat', '-c', '%u:%g', '/tmp/files/mine'), '0:0');
  await lab.ok('exec', 'c', 'sh', '-c', 'until [ -d /data ] && ! [ -e /data/one ]; do :; done');
  await lab.ok('cp', 'c:/new', dir);
  assert.deepEqual([readFileSync(join(dir, 'new'), 'utf8'), lstatSync(join(dir, 'new')).uid], ['x\n', lab.uid]);
  await lab.ok('cp', '-a', 'c:/new', join(dir, 'kept'));
  assert.equal(lstatSync(join(dir, 'kept')).uid, lab.subid + 999);
  const tare = launcher;
  assert.equal(
    await shell(`cd ${dir}; tar -c mine | ${tare} cp - c:/root; ${tare} cp c:/root/mine - | tar -xO`),
    'mine',
  );
  await lab.ok('stop', '-t', '0', 'c');
  await lab.ok('cp', 'c:/tmp/files/mine', join(dir, 'again'));
  assert.match(await lab.ok('commit', '-c', 'CMD ["stat","-c","%u:%g %n","/new","/data"]', 'c', 'changed'), /^sha256:/);
  await shell(`${tare} export c | ${tare} import -c 'CMD ["stat","-c","%u:%g %n","/new"]' - whole`);
  assert.equal(await lab.ok('run', '--rm', 'whole'), '1000:50 /new');
  await lab.ok('run', '--name', 'd', 'whole', 'sh', '-c', 'rm -r /data; mkdir /data; touch /data/fresh; ln /new /hard');
  await lab.ok('commit', 'd', 'next');
  assert.equal(await lab.ok('run', '--rm', 'next', 'sh', '-c', 'ls /data; stat -c %u:%h /hard'), 'fresh\n1000:2');
  // Into what is not the user's nobody copies.
  const { code, stderr } = await lab.tare('cp', 'c:/new', '/etc/new');
  assert.equal(code, 1);
  assert.match(stderr, /^Error: Cannot write "new": .*(?:EACCES|EPERM)/);
});
