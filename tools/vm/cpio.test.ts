import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { needs } from '../../test/support/needs.ts';
import { cpio } from './cpio.ts';

test('cpio: what it writes, busybox lists and reads', { skip: needs.program('busybox') }, () => {
  const archive = cpio([
    { name: 'd', mode: 0o040755, data: new Uint8Array() },
    { name: 'd/odd', mode: 0o100755, data: Buffer.from('12345') },
    { name: 'd/link', mode: 0o120777, data: Buffer.from('odd') },
  ]);
  const list = spawnSync('busybox', ['cpio', '-tv'], { input: archive, encoding: 'utf8' });
  assert.match(list.stdout, /drwxr-xr-x .* d\n-rwxr-xr-x .* 5 .* d\/odd\nlrwxrwxrwx .* d\/link -> odd\n/);
  const read = spawnSync('busybox', ['cpio', '-i', '--to-stdout', 'd/odd'], { input: archive, encoding: 'utf8' });
  assert.equal(read.stdout, '12345');
});
