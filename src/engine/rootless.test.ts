import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TareError } from '../base/errors.ts';
import { keepsRunRoot, mappedIds, rootlessUser } from './rootless.ts';
import { standardPlaces } from './storage-places.ts';

const env = { TARE_ROOTLESS: '1000 100 42', HOME: '/home/u', XDG_RUNTIME_DIR: '/run/user/1000' };

test('rootlessUser: what the launcher says, and the XDG places; relative ones are ignored', () => {
  assert.deepEqual(rootlessUser(env, 0), {
    uid: 1000,
    gid: 100,
    holder: 42,
    dataHome: '/home/u/.local/share',
    configHome: '/home/u/.config',
    runtimeDir: '/run/user/1000',
  });
  const moved = rootlessUser({ ...env, XDG_DATA_HOME: '/data', XDG_CONFIG_HOME: 'relative', XDG_RUNTIME_DIR: '' }, 0);
  assert.deepEqual(
    [moved?.dataHome, moved?.configHome, moved?.runtimeDir],
    ['/data', '/home/u/.config', '/run/user/1000'],
  );
});

test('rootlessUser: the machine’s root, a malformed word, and a process outside', () => {
  assert.equal(rootlessUser({}, 0), undefined);
  for (const word of ['', '1000', '1000 100', '-1 0 0', '1 2 3 4', '99999999999 1 1'])
    assert.equal(rootlessUser({ ...env, TARE_ROOTLESS: word }, 0), undefined, word);
  assert.throws(
    () => rootlessUser(env, 1000),
    (error: unknown) =>
      error instanceof TareError && error.kind === 'denied' && /tare unshare node app\.js/.test(error.message),
  );
});

test('standardPlaces: of root and of a user', () => {
  const none = { CONTAINERS_STORAGE_CONF: '/nonexistent' };
  assert.deepEqual(standardPlaces(none, undefined), {
    root: '/var/lib/tare',
    runRoot: '/run/tare',
    storageRoot: '/var/lib/containers/storage',
    storageRunRoot: '/run/containers/storage',
  });
  assert.deepEqual(standardPlaces(none, rootlessUser(env, 0)), {
    root: '/home/u/.local/share/tare',
    runRoot: '/run/user/1000/tare',
    storageRoot: '/home/u/.local/share/containers/storage',
    storageRunRoot: '/run/user/1000/containers',
  });
});

test('mappedIds: in the first namespace there are all', () => {
  assert.ok(mappedIds('uid') >= 1);
  assert.ok(mappedIds('gid') >= 1);
});

test('keepsRunRoot: not where systemd removes it at a logout', () => {
  const user = rootlessUser({ ...env, TARE_ROOTLESS: '4000000000 1 1' }, 0);
  assert.ok(user);
  assert.equal(keepsRunRoot({ ...user, runtimeDir: '/run/user/4000000000' }), false);
  assert.equal(keepsRunRoot({ ...user, runtimeDir: '/var/run/user/4000000000' }), false);
  assert.equal(keepsRunRoot({ ...user, runtimeDir: '/tmp/podman-run-4000000000' }), true);
});
