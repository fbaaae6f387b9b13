import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempDisposableSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { addon } from './addon.ts';
import { check } from './error.ts';
import {
  fsconfig,
  fsconfigCreate,
  fsmount,
  fsopen,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_RDONLY,
  mountSetattr,
  openTree,
} from './mount.ts';
import { mountDetached, type OverlayWay, overlayWay } from './mount-detached.ts';
import { parseMountinfo, readMountinfo } from './mountinfo.ts';
import { O_CREAT, O_RDWR, openat2, openPath } from './open.ts';
import { OVERLAYFS_SUPER_MAGIC, statfs, TMPFS_MAGIC } from './stat.ts';

const asRoot = process.geteuid?.() === 0 ? {} : { skip: 'needs root' };
const openFds = (): number => readdirSync('/proc/self/fd').length;
const list = (fd: { number: number }): string[] => readdirSync(`/proc/self/fd/${fd.number}/`).sort();

function layers(path: string, ...names: string[]): string[] {
  return names.map((name, index) => {
    const dir = `${path}/${name}`;
    mkdirSync(dir, { recursive: true });
    writeFileSync(`${dir}/from-${index}`, name);
    return dir;
  });
}

test('fsopen, fsconfig, fsmount make a detached tmpfs that no namespace shows', asRoot, () => {
  const before = readMountinfo().length;
  using context = fsopen('tmpfs');
  fsconfig(context, 'size', '64k');
  fsconfig(context, 'mode', '0711');
  fsconfigCreate(context);
  using mount = fsmount(context, MOUNT_ATTR_NOEXEC);
  assert.equal(statfs(mount).type, TMPFS_MAGIC);
  assert.equal(statfs(mount).sizeBytes, 65_536);
  assert.equal(statfs(mount).flags & 8, 8);
  openat2(mount, 'file', { flags: O_CREAT | O_RDWR, mode: 0o600 }).close();
  mountSetattr(mount, { set: MOUNT_ATTR_RDONLY });
  assert.throws(() => openat2(mount, 'other', { flags: O_CREAT | O_RDWR, mode: 0o600 }), { code: 'EROFS' });
  assert.equal(readMountinfo().length, before);
});

test('fsconfig failing says what the kernel says', asRoot, () => {
  using context = fsopen('overlay');
  assert.throws(
    () => fsconfig(context, 'colour', 'blue'),
    /Cannot fsconfig colour=blue: EINVAL \(invalid argument\): .*Unknown parameter 'colour'/,
  );
  assert.throws(() => fsopen('no-such-file-system'), { kind: 'unsupported' });
});

for (const way of ['appended', 'string'] as const satisfies OverlayWay[]) {
  const options =
    asRoot.skip || (way === 'appended' && overlayWay() !== 'appended') ? { skip: 'needs root and Linux 6.7' } : {};

  test(`mountDetached (${way}) unites layers, nearest first, and writes to the upper only`, options, () => {
    using temp = mkdtempDisposableSync('/tmp/tare-mount-');
    const [near, far, upper, work] = layers(temp.path, 'near', 'far', 'upper', 'work') as [
      string,
      string,
      string,
      string,
    ];
    writeFileSync(`${near}/same`, 'near');
    writeFileSync(`${far}/same`, 'far');
    // Others mount and unmount at the same time: only ours count.
    const ours = (): number => readMountinfo().filter((mount) => JSON.stringify(mount).includes(temp.path)).length;
    const before = openFds();
    const mount = mountDetached(
      { kind: 'overlay', lowers: [near, far], upper, work, options: ['nodev', 'userxattr'] },
      { way },
    );
    assert.equal(statfs(mount).type, OVERLAYFS_SUPER_MAGIC);
    assert.equal(statfs(mount).flags & 4, 4);
    assert.deepEqual(list(mount), ['from-0', 'from-1', 'from-2', 'same']);
    assert.equal(readFileSync(`/proc/self/fd/${mount.number}/same`, 'utf8'), 'near');
    writeFileSync(`/proc/self/fd/${mount.number}/new`, 'new');
    assert.ok(existsSync(`${upper}/new`));
    mount.close();
    assert.deepEqual([ours(), openFds()], [0, before]);
    // The upper directory is free again: nothing holds the first mount.
    mountDetached({ kind: 'overlay', lowers: [near, far], upper, work, options: [] }, { way }).close();
  });

  test(`mountDetached (${way}) takes paths with ':', ',', backslash, quotes and more than 255 bytes`, options, () => {
    using temp = mkdtempDisposableSync('/tmp/tare-mount-');
    const long = `${'x'.repeat(150)}/${'y'.repeat(150)}`;
    const [a, b, c, upper, work] = layers(temp.path, 'a:b,c', 'back\\slash "quoted"', long, 'up:per,\\', 'wo:rk') as [
      string,
      string,
      string,
      string,
      string,
    ];
    using mount = mountDetached({ kind: 'overlay', lowers: [a, b, c], upper, work, options: [] }, { way });
    assert.deepEqual(list(mount), ['from-0', 'from-1', 'from-2', 'from-3']);
    writeFileSync(`/proc/self/fd/${mount.number}/new`, '');
    assert.ok(existsSync(`${upper}/new`));
  });

  test(`mountDetached (${way}) stacks 130 lowers of a long path read-only`, options, () => {
    using temp = mkdtempDisposableSync('/tmp/tare-mount-');
    const lowers = layers(temp.path, ...Array.from({ length: 130 }, (_, index) => `${'layer'.repeat(12)}-${index}`));
    const before = openFds();
    const mount = mountDetached({ kind: 'overlay', lowers, options: [] }, { way });
    assert.equal(list(mount).length, 130);
    assert.throws(() => openat2(mount, 'new', { flags: O_CREAT | O_RDWR, mode: 0o600 }), { code: 'EROFS' });
    mount.close();
    assert.equal(openFds(), before);
  });

  test(`mountDetached (${way}) failing leaks nothing and names the cause`, options, () => {
    using temp = mkdtempDisposableSync('/tmp/tare-mount-');
    const [lower, upper] = layers(temp.path, 'lower', 'up,per') as [string, string];
    const before = openFds();
    assert.throws(
      () => mountDetached({ kind: 'overlay', lowers: [lower, `${temp.path}/missing`], options: [] }, { way }),
      { kind: 'not-found' },
    );
    assert.throws(
      () =>
        mountDetached({ kind: 'overlay', lowers: [lower], upper, work: `${temp.path}/mis,sing`, options: [] }, { way }),
      { kind: 'not-found' },
    );
    assert.throws(() => mountDetached({ kind: 'overlay', lowers: [lower, lower], options: ['frob=1'] }, { way }), {
      kind: 'invalid',
    });
    assert.throws(() => mountDetached({ kind: 'overlay', lowers: [], options: [] }, { way }), { kind: 'invalid' });
    assert.equal(openFds(), before);
  });
}

test('mountDetached refuses more lowers than an old kernel takes, before mounting', asRoot, () => {
  assert.throws(
    () =>
      mountDetached(
        { kind: 'overlay', lowers: Array.from({ length: 400 }, () => '/usr/share'), options: [] },
        { way: 'string' },
      ),
    { kind: 'exhausted' },
  );
});

test('mountDetached binds a directory read-only, sub-mounts too when recursive', asRoot, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-mount-');
  using plain = mountDetached({ kind: 'bind', source: temp.path, readOnly: false, recursive: false });
  writeFileSync(`/proc/self/fd/${plain.number}/file`, '');
  using sealed = mountDetached({ kind: 'bind', source: temp.path, readOnly: true, recursive: false });
  assert.throws(() => writeFileSync(`/proc/self/fd/${sealed.number}/other`, ''), { code: 'EROFS' });
  using sys = mountDetached({ kind: 'bind', source: '/sys', readOnly: true, recursive: true });
  using cgroup = openPath('fs/cgroup', { dir: sys });
  assert.equal(statfs(cgroup).flags & 1, 1);
  assert.throws(() => mountDetached({ kind: 'bind', source: `${temp.path}/none`, readOnly: true, recursive: true }), {
    kind: 'not-found',
  });
});

test('openTree without clone is a plain handle; with it a mount of its own', asRoot, () => {
  using handle = openTree('/usr');
  using clone = openTree('', { dir: handle, clone: true });
  mountSetattr(clone, { set: MOUNT_ATTR_RDONLY });
  assert.equal(statfs(clone).flags & 1, 1);
  using again = openTree('/usr');
  assert.equal(statfs(again).flags & 1, 0);
});

test('mountElsewhere reports the errno of a mount it cannot make and leaves no child', asRoot, () => {
  assert.throws(
    () => check(addon().mountElsewhere('no-such-fs', 'x', 0, '', new Int32Array(), new Int32Array()), 'mount'),
    {
      code: 'ENODEV',
    },
  );
  assert.equal(readFileSync('/proc/thread-self/children', 'utf8').trim(), '');
});

test('parseMountinfo reads options, peers and octal escapes, and skips what is no mount', () => {
  const text = [
    String.raw`36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 shared:22 - ext3 /dev/root\011a rw,errors=continue`,
    '40 36 0:5 / /dev rw unbindable - devtmpfs  rw',
    'garbage',
    '',
  ].join('\n');
  assert.deepEqual(parseMountinfo(text), [
    {
      id: 36,
      parentId: 35,
      major: 98,
      minor: 0,
      root: '/mnt1',
      mountPoint: '/mnt 2\\x',
      options: ['rw', 'noatime'],
      shared: 22,
      master: 1,
      unbindable: false,
      fsType: 'ext3',
      source: '/dev/root\ta',
      superOptions: ['rw', 'errors=continue'],
    },
    {
      id: 40,
      parentId: 36,
      major: 0,
      minor: 5,
      root: '/',
      mountPoint: '/dev',
      options: ['rw'],
      unbindable: true,
      fsType: 'devtmpfs',
      source: '',
      superOptions: ['rw'],
    },
  ]);
});

test('readMountinfo finds every line of this process', () => {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\n');
  const mounts = readMountinfo();
  assert.equal(mounts.length, lines.length);
  assert.ok(mounts.some(({ mountPoint, fsType }) => mountPoint === '/proc' && fsType === 'proc'));
});
