import assert from 'node:assert/strict';
import { mkdtempDisposableSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hasMountProgram, setMountProgram } from './mount-program.ts';
import { Store, type StoreOptions } from './store.ts';

test('setMountProgram: says so for good, leaving one file', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-mount-program-');
  assert.equal(hasMountProgram(temp.path), false);
  writeFileSync(join(temp.path, '.has-mount-program'), 'false');
  assert.equal(hasMountProgram(temp.path), false);
  for (let time = 0; time < 2; time++) setMountProgram(temp.path);
  assert.equal(hasMountProgram(temp.path), true);
  assert.deepEqual(readdirSync(temp.path), ['.has-mount-program']);
});

test('Store.open: a new store asks once; storage.conf and what stands there decide for every other', async () => {
  using temp = mkdtempDisposableSync('/tmp/tare-mount-program-');
  const open = (name: string, options: Partial<StoreOptions> = {}): Promise<Store> =>
    Store.open({ graphRoot: join(temp.path, name), runRoot: join(temp.path, `${name}-run`), ...options });
  const flag = (name: string): string => readFileSync(join(temp.path, name, 'overlay/.has-mount-program'), 'utf8');
  const asked: string[] = [];
  const needsMountProgram = (home: string): boolean => asked.push(home) > 0;

  assert.equal((await open('kernel')).fuse, false);
  assert.equal(flag('kernel'), 'false');
  assert.equal((await open('kernel', { needsMountProgram })).fuse, false);
  assert.deepEqual(asked, []);
  assert.equal((await open('kernel', { mountProgram: true })).fuse, true);
  assert.equal(flag('kernel'), 'true');
  assert.equal((await open('kernel')).fuse, true);

  assert.equal((await open('fuse', { needsMountProgram })).fuse, true);
  assert.equal(flag('fuse'), 'true');
  assert.match(asked.join(), new RegExp(`^${join(temp.path, 'fuse/overlay/tempdirs/')}[^/,]+$`));
  assert.deepEqual(readdirSync(join(temp.path, 'fuse/overlay/tempdirs')), []);

  const [later, another] = [await open('later'), await open('later')];
  later.useFuse();
  assert.deepEqual([later.fuse, another.fuse, flag('later')], [true, true, 'true']);
});
