import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAutoUserns, readStorageConf } from './storage-conf.ts';

test('readStorageConf: takes driver and roots of [storage], and nothing of other tables or comments', () => {
  const text = `
# graphroot = "/commented"
[storage]
driver = "overlay" # as usual
 graphroot="/var/lib/x y"
runroot = '/run/\\x'
imagestore = ""
[storage.options]
graphroot = "/not/this"
additionalimagestores = [ "/a", ]
`;
  assert.deepEqual(readStorageConf(text), {
    driver: 'overlay',
    graphRoot: '/var/lib/x y',
    runRoot: '/run/\\x',
    unsupported: [],
  });
  assert.deepEqual(readStorageConf(''), { unsupported: [] });
  assert.deepEqual(readStorageConf('[storage]\ngraphroot = ""\ntransient_store = false\n'), { unsupported: [] });
  assert.deepEqual(readStorageConf('[storage]\nimagestore = "/images"\ntransient_store = true # fast\n'), {
    unsupported: ['imagestore', 'transient_store'],
  });
});

test('readStorageConf: the program that mounts, of the driver before that of all, and force_mask', () => {
  const overlay = '[storage.options.overlay]\nmount_program = "/usr/bin/fuse-overlayfs" # as podman\n';
  const all = '[storage.options]\nmount_program = "/all"\nforce_mask = 0o700\n';
  assert.equal(readStorageConf(overlay).mountProgram, '/usr/bin/fuse-overlayfs');
  assert.equal(readStorageConf(all).mountProgram, '/all');
  assert.equal(readStorageConf(all).forceMask, '0o700');
  for (const text of [overlay + all, all + overlay])
    assert.equal(readStorageConf(text).mountProgram, '/usr/bin/fuse-overlayfs');
  const none = '[storage]\nmount_program = "/x"\n[storage.options.vfs]\nmount_program = "/x"\n#mount_program = "/x"\n';
  assert.deepEqual(readStorageConf(none), { unsupported: [] });
});

test('readAutoUserns: what [storage.options] says of --userns auto; for the rest the values of podman', () => {
  const standard = { user: 'containers', minSize: 1024, maxSize: 65_536 };
  assert.deepEqual(readAutoUserns(''), standard);
  assert.deepEqual(readAutoUserns('[storage]\nauto-userns-min-size = 5\n'), standard);
  const text = `[storage.options] # more
root-auto-userns-user = "ids"
auto-userns-min-size = 2000
auto-userns-max-size="100000" # as text
[storage.options.overlay]
auto-userns-min-size = 7
`;
  assert.deepEqual(readAutoUserns(text), { user: 'ids', minSize: 2000, maxSize: 100_000 });
  const damaged =
    '[storage.options]\nroot-auto-userns-user = ""\nauto-userns-min-size = -5\nauto-userns-max-size = "x"\n';
  assert.deepEqual(readAutoUserns(damaged), standard);
});
