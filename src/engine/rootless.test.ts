import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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

test('standardPlaces: a mount_program of the machine’s file is root’s, one of their own the user’s; only fuse-overlayfs', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-places-');
  const conf = join(temp.path, 'containers/storage.conf');
  mkdirSync(join(temp.path, 'containers'));
  const write = (line: string): void => writeFileSync(conf, `[storage]\n[storage.options.overlay]\n${line}\n`);
  const program = 'mount_program = "/opt/fuse-overlayfs"';
  write(program);
  const own = { ...env, XDG_CONFIG_HOME: temp.path };
  assert.equal(standardPlaces(own, rootlessUser(own, 0)).mountProgram, '/opt/fuse-overlayfs');
  for (const places of [
    standardPlaces({ CONTAINERS_STORAGE_CONF: conf }, undefined),
    standardPlaces({ ...env, CONTAINERS_STORAGE_CONF: conf }, rootlessUser(env, 0)),
  ])
    assert.deepEqual([places.mountProgram, places.storageProblem], ['/opt/fuse-overlayfs', undefined]);
  for (const [line, message] of [
    ['mount_program = "/usr/bin/bindfs"', /sets mount_program = \/usr\/bin\/bindfs; only fuse-overlayfs/],
    ['mount_program = "fuse-overlayfs"', /by its absolute path/],
    [`${program}\nforce_mask = "private"`, /sets force_mask = private, which is not supported/],
  ] as const) {
    write(line);
    const places = standardPlaces({ CONTAINERS_STORAGE_CONF: conf }, undefined);
    assert.match(places.storageProblem ?? '', message);
    assert.equal(places.mountProgram, undefined);
  }
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
