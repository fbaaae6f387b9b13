/** User namespaces of root's containers: ids that nobody else has, and files that belong to them without being copied. */
import assert from 'node:assert/strict';
import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { mountDetached } from '../../src/sys/mount-detached.ts';
import { MNT_DETACH, moveMount, umount } from '../../src/sys/mount.ts';
import { openDirectory } from '../../src/sys/open.ts';
import { getXattr } from '../../src/sys/xattr.ts';
import { canBeUser } from '../rootless/lab.ts';
import { canRun, Lab, type Outcome } from './lab.ts';
import { capability, FIRST, RootLab } from './root-lab.ts';

const skip = canRun || canBeUser;

const owners = ['stat', '-c', '%u:%g:%a', '/', '/u', '/first', '/second', '/top', '/etc/hosts'];
const expected = '0:0:555\n1000:50:4755\n7:8:644\n7:8:644\n2000:2000:644\n0:0:644';

test(
  '--userns auto: as many ids as the image needs, files are whose it says, nothing is copied; everything works on it as on others',
  { skip },
  async () => {
    await using lab = new RootLab();
    const image = await lab.pull();
    const auto = ['--userns', 'auto'];
    const map = await lab.ok('run', '--rm', ...auto, image, 'cat', '/proc/self/uid_map', '/proc/self/gid_map');
    const line = ['0', String(FIRST), '2001'];
    assert.deepEqual(map.trim().split(/\s+/), [...line, ...line]);
    assert.equal(await lab.ok('run', '--rm', ...auto, image, ...owners), expected);
    assert.equal(await lab.ok('run', '--rm', ...auto, '-u', 'u', image, 'id', '-u'), '1000');
    // The pipes of its streams are its own.
    assert.equal(await lab.ok('run', '--rm', ...auto, '-u', 'u', image, 'sh', '-c', 'echo x >/dev/stdout'), 'x');

    const id = await lab.ok('run', '-d', '--name', 'c', '--init', ...auto, image, 'sleep', '1000');
    assert.equal(await lab.ok('diff', 'c'), '', 'nothing was copied for its owners');
    await lab.ok('exec', 'c', 'sh', '-c', 'echo n >/new && chown 1000:50 /new && chmod 4755 /new && rm /first');
    await lab.ok('exec', '-u', 'u', 'c', 'sh', '-c', 'test "$(id -u)" = 1000');
    assert.equal(await lab.ok('diff', 'c'), 'D /first\nA /new');
    const upper = JSON.parse(
      readFileSync(join(lab.engine.storageRoot, 'overlay-containers/containers.json'), 'utf8'),
    ) as { id: string; layer: string; uidmap: unknown }[];
    const row = upper.find((known) => known.id === id);
    assert.deepEqual(row?.uidmap, [{ container_id: 0, host_id: FIRST, size: 2001 }]);
    assert.equal(statSync(join(lab.engine.storageRoot, 'overlay', row.layer, 'diff/new')).uid, FIRST + 1000);

    // Into it with the owners that it knows, and out of it the same way.
    const file = join(lab.dir, 'file');
    writeFileSync(file, 'f');
    chownSync(file, 5, 6);
    await lab.ok('cp', file, 'c:/plain');
    await lab.ok('cp', '-a', file, 'c:/owned');
    assert.equal(await lab.ok('exec', 'c', 'stat', '-c', '%u:%g', '/plain', '/owned'), '0:0\n5:6');
    await lab.ok('cp', '-a', 'c:/new', join(lab.dir, 'out'));
    const out = statSync(join(lab.dir, 'out'));
    assert.deepEqual([out.uid, out.gid, out.mode & 0o7777], [1000, 50, 0o4755]);
    chownSync(file, 5000, 6);
    const foreign = await lab.tare('cp', '-a', file, 'c:/foreign');
    assert.match(foreign.stderr, /Cannot write files of user 5000: the container's user namespace has no such id/);

    await lab.ok('commit', '-q', 'c', 'committed');
    await lab.ok('commit', '-q', '--squash', 'c', 'squashed');
    const look = ['stat', '-c', '%u:%g:%a', '/', '/u', '/new', '/second', '/plain', '/owned'];
    const seen = '0:0:555\n1000:50:4755\n1000:50:4755\n7:8:644\n0:0:644\n5:6:644';
    for (const name of ['committed', 'squashed']) {
      assert.equal(await lab.ok('run', '--rm', name, ...look), seen, name);
      assert.equal(await lab.ok('run', '--rm', ...auto, name, ...look), seen, `${name}, again mapped`);
    }
    await lab.ok('stop', '-t', '0', 'c');
    await lab.ok('cp', '-a', join(lab.dir, 'out'), 'c:/again');
    await lab.ok('start', 'c');
    assert.equal(await lab.ok('exec', 'c', 'stat', '-c', '%u:%g:%a', '/new', '/again'), '1000:50:4755\n1000:50:4755');
    assert.equal(await lab.ok('inspect', '--format', '{{.HostConfig.UsernsMode}}', 'c'), 'private');
    await lab.ok('rm', '-f', 'c');
    assert.equal(await lab.ok('run', '--rm', image, ...owners), expected);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  '--userns auto: no two containers have the same id, however many are made at once or die; removed ones give theirs back',
  { skip },
  async () => {
    await using lab = new RootLab();
    const image = await lab.pull();
    const names = Array.from({ length: 12 }, (_, i) => `c${i}`);
    const sourceOf = (name: string): string => (Number(name.slice(1)) % 3 === 2 ? lab.source : image);
    await Promise.all(
      names.map(async (name) => {
        const created = await lab.tare('create', '--name', name, '--userns', 'auto:size=3000', sourceOf(name), 'true');
        assert.equal(created.code, 0, created.stderr);
      }),
    );
    const rangesOf = async (kind: 'UidMap' | 'GidMap'): Promise<(readonly [first: number, end: number])[]> => {
      const all = await Promise.all(names.map((name) => lab.ids(name)));
      return all
        .flatMap((ids) => ids[kind])
        .map((text) => {
          const [, host = 0, size = 0] = text.split(':').map(Number);
          return [host, host + size] as const;
        })
        .sort(([a], [b]) => a - b);
    };
    for (const kind of ['UidMap', 'GidMap'] as const) {
      const ranges = await rangesOf(kind);
      assert.equal(
        ranges.reduce((sum, [first, end]) => sum + end - first, 0),
        names.length * 3000,
      );
      ranges.forEach(([first], index) => assert.ok(index === 0 || first >= (ranges[index - 1]?.[1] ?? 0), kind));
      assert.ok(ranges.every(([first, end]) => first >= FIRST && end <= FIRST + 100_000));
    }
    // 64000 of 100000 are left.
    const all = await lab.refused('create', '--userns', 'auto:size=64001', image, 'true');
    assert.match(all, /Cannot give the container 64001 uids: 64000 of 100000 are free; remove containers/);
    await lab.ok('rm', 'c0', 'c2');
    await lab.ok('create', '--name', 'large', '--userns', 'auto:size=70000', image, 'true');
    await lab.ok('rm', 'large', ...names.filter((name) => name !== 'c0' && name !== 'c2'));
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  '--userns auto: host:, directories and volumes are shown with other owners, and stay as they are',
  { skip },
  async () => {
    await using lab = new RootLab();
    const image = await lab.pull();
    const auto = ['--userns', 'auto'];
    const host = await lab.ok('run', '--rm', ...auto, 'host:', 'sh', '-c', 'stat -c %u /etc/passwd / && touch /root/x');
    assert.equal(host, '0\n0');
    assert.equal(existsSync('/root/x'), false);

    chownSync(join(lab.rootfs, 'etc'), 1000, 1000);
    const script = 'stat -c %u:%g /etc && touch /etc/new && stat -c %u:%g /etc/new';
    assert.equal(await lab.ok('run', '--rm', ...auto, lab.source, 'sh', '-c', script), '1000:1000\n0:0');
    await lab.ok('run', '--rm', ...auto, '--rootfs', lab.rootfs, 'sh', '-c', script);
    const made = statSync(join(lab.rootfs, 'etc/new'));
    assert.deepEqual([made.uid, made.gid], [0, 0], 'through the id-mapped mount');

    const volume = join(lab.dir, 'volume');
    mkdirSync(volume);
    writeFileSync(join(volume, 'file'), 'x');
    chownSync(join(volume, 'file'), 1000, 1000);
    const volumes = ['-v', `${volume}:/a`, '-v', `${volume}:/b:idmap`];
    assert.equal(
      await lab.ok('run', '--rm', ...auto, ...volumes, image, 'stat', '-c', '%u:%g', '/a/file', '/b/file'),
      '65534:65534\n1000:1000',
    );
    await lab.ok('create', '--name', 'v', ...auto, ...volumes, image, 'touch', '/b/new');
    await lab.ok('cp', '-a', 'v:/b/file', join(lab.dir, 'copied'));
    assert.equal(statSync(join(lab.dir, 'copied')).uid, 1000);
    await lab.ok('start', '-a', 'v');
    assert.equal(statSync(join(volume, 'new')).uid, 0);
    await lab.ok('rm', 'v');
    assert.match(await lab.refused('run', '--rm', '-v', `${volume}:/b:idmap`, image, 'true'), /says how/);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  '--uidmap, --gidmap, --subuidname and the options of auto; the rest of a container is as it should be',
  { skip },
  async () => {
    await using lab = new RootLab();
    const image = await lab.pull();
    const maps = async (...flags: string[]): Promise<string[]> =>
      (await lab.ok('run', '--rm', ...flags, image, 'cat', '/proc/self/uid_map', '/proc/self/gid_map'))
        .split('\n')
        .map((line) => line.trim().replace(/\s+/g, ':'));
    assert.deepEqual(await maps('--uidmap', '0:100000:5000'), ['0:100000:5000', '0:100000:5000']);
    assert.deepEqual(await maps('--uidmap', '0:100000:5000', '--gidmap', '0:5:60', '--gidmap', '60:0:1'), [
      '0:100000:5000',
      '0:5:60',
      '60:0:1',
    ]);
    assert.deepEqual(await maps('--subuidname', 'containers'), [`0:${FIRST}:100000`, `0:${FIRST}:100000`]);
    assert.deepEqual(await maps('--userns', 'auto:size=9,uidmapping=5:0:1'), [
      `0:${FIRST}:5`,
      '5:0:1',
      `6:${FIRST + 5}:3`,
      `0:${FIRST}:9`,
    ]);
    const limits = [
      '--ulimit',
      'nofile=2000:2000',
      '--sysctl',
      'net.ipv4.ip_forward=1',
      '--read-only',
      '--memory',
      '64m',
    ];
    const script =
      'ulimit -n; cat /proc/sys/net/ipv4/ip_forward; stat -c %u:%g /dev/shm /run; touch /x 2>&1; ls /sys/fs/cgroup | grep -c .; echo >/dev/null';
    const seen = await lab.ok('run', '--rm', '--userns', 'auto', ...limits, lab.source, 'sh', '-c', script);
    assert.match(seen, /^2000\n1\n0:0\n0:0\ntouch: \/x: Read-only file system\n[1-9]\d*$/);
    assert.match(
      await lab.refused('run', '--userns', 'auto:size=5', '-u', '1000', image, 'true'),
      /Cannot run as user 1000: the container's user namespace has no such id; give it more \(--userns auto:size=1001/,
    );
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('--userns: root is told what there is instead, and nothing is made', { skip }, async () => {
  await using lab = new RootLab('');
  for (const mode of ['keep-id', 'nomap', 'nonsense', 'ns:/proc/self/ns/user'])
    assert.ok(
      (await lab.refused('run', '--userns', mode, lab.source, 'true')).startsWith(
        `Error: Cannot use --userns ${mode}: `,
      ),
    );
  assert.match(
    await lab.refused('run', '--userns', 'auto', lab.source, 'true'),
    /Cannot use --userns auto: there are no ids for it; add the line "containers:2147483647:2147483648" to \/etc\/subuid and \/etc\/subgid/,
  );
  const bundle = join(lab.dir, 'bundle');
  mkdirSync(bundle);
  const config = { ociVersion: '1.0.0', root: { path: lab.rootfs }, process: { args: ['true'], cwd: '/', user: {} } };
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(config));
  assert.match(
    await lab.refused('run', '--uidmap', '0:100000:10', '--bundle', bundle),
    /a bundle brings its own user namespace/,
  );
  assert.equal((await lab.tare('run', '--rm', '--userns', 'host', lab.source, 'true')).code, 0);
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  '--userns: where the kernel cannot map the ids of a mount, files are copied with a warning, and only those of an image',
  { skip },
  async () => {
    await using lab = new RootLab();
    const image = await lab.pull();
    // No mount is mapped twice.
    const everybody = [{ containerID: 0, hostID: 0, size: 0xffff_ffff }];
    const ids = { uidMappings: everybody, gidMappings: everybody };
    const cover = (path: string): Disposable => {
      using mount = mountDetached({ kind: 'bind', source: path, readOnly: false, recursive: false, ids });
      using at = openDirectory(path);
      moveMount(mount, at, '');
      return { [Symbol.dispose]: () => umount(path, MNT_DETACH) };
    };
    const map = ['--uidmap', '0:1:5000'];
    // In this namespace, for the commands below are started in it.
    const tare = (...args: string[]): Promise<Outcome> => Lab.prototype.tare.apply(lab, args);
    {
      using _mapped = cover(lab.engine.storageRoot);
      const run = await tare('run', '--rm', ...map, image, ...owners);
      assert.equal(run.stdout.trimEnd(), expected, run.stderr);
      assert.match(run.stderr, /every file of the image was copied for this container, which takes time and space/);
      assert.equal((await tare('run', '-d', '--name', 'c', ...map, image, 'sleep', '1000')).code, 0);
      assert.equal((await tare('exec', 'c', 'sh', '-c', 'echo >/new; rm /first; chown 9 /u')).code, 0);
      assert.equal((await tare('diff', 'c')).stdout, 'D /first\nA /new\nC /u\n', 'copies are no changes');
      assert.equal((await tare('commit', '-q', 'c', 'committed')).code, 0);
      assert.equal((await tare('stop', '-t', '0', 'c')).code, 0);
      assert.equal((await tare('start', 'c')).code, 0);
      assert.equal((await tare('exec', 'c', 'stat', '-c', '%u', '/new', '/u', '/second')).stdout, '0\n9\n7\n');
      assert.equal((await tare('rm', '-f', 'c')).code, 0);
    }
    const look = ['stat', '-c', '%u:%g', '/new', '/u', '/second'];
    assert.equal(await lab.ok('run', '--rm', 'committed', ...look), '0:0\n9:50\n7:8');
    {
      const disk = join(lab.dir, 'disk');
      mkdirSync(disk);
      using _mapped = cover(disk);
      const refused = await tare('run', '--rm', ...map, 'host:', 'true');
      assert.match(refused.stderr, /Cannot give the files of host: to the container's ids: \S+\/disk: /);
    }
    {
      using _mapped = cover(lab.rootfs);
      const refused = await tare('run', '--rm', ...map, lab.source, 'true');
      assert.match(refused.stderr, /Cannot give the files of rootfs:\S+ to the container's ids: /);
    }
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('an image that was made in a user namespace has capabilities for every root', { skip }, async () => {
  await using lab = new RootLab();
  const image = await lab.pull();
  await lab.ok('run', '-d', '--name', 'c', '--userns', 'auto', image, 'sleep', '1000');
  // Its copy in the writable layer is for the container's root alone.
  await lab.ok('exec', 'c', 'chmod', '755', '/cap');
  await lab.ok('commit', '-q', 'c', 'committed');
  const layers = JSON.parse(readFileSync(join(lab.engine.storageRoot, 'overlay-layers/layers.json'), 'utf8')) as {
    id: string;
  }[];
  const found = layers
    .map(({ id }) => join(lab.engine.storageRoot, 'overlay', id, 'diff/cap'))
    .filter((path) => existsSync(path))
    .map((path) => {
      using dir = openDirectory(dirname(path));
      return getXattr({ dir, name: 'cap' }, 'security.capability')?.toString('hex');
    });
  assert.ok(found.filter((value) => value === capability().toString('hex')).length >= 2, found.join(' '));
  await lab.ok('rm', '-f', 'c');
});

test(
  "--userns auto: volumes are shown with the container's ids, whichever it has; what is filled in has the owners of the image",
  { skip },
  async () => {
    await using lab = new RootLab();
    const image = await lab.pull();
    const auto = ['run', '--rm', '--userns', 'auto:size=3000'];
    // Somebody has the first ids, so that others get other ones.
    await lab.ok('run', '-d', '--name', 'first', '--userns', 'auto:size=5000', image, 'sleep', '1000');
    assert.equal(
      await lab.ok(...auto, '-v', 'v:/etc', image, 'stat', '-c', '%u:%g', '/etc', '/etc/passwd'),
      '0:0\n0:0',
    );
    const place = await lab.ok('volume', 'inspect', '-f', '{{.Mountpoint}}', 'v');
    assert.equal(statSync(join(place, 'passwd')).uid, 0, 'on the disk as in the container');
    await lab.ok(...auto, '-v', 'v:/w', '-u', 'u', image, 'true');
    await lab.ok(...auto, '-v', 'v:/w', image, 'sh', '-c', 'echo x >/w/new && chown 7:8 /w/new');
    assert.equal(statSync(join(place, 'new')).uid, 7);
    assert.equal(await lab.ok('run', '--rm', '-v', 'v:/w', image, 'stat', '-c', '%u:%g', '/w/new'), '7:8');
    assert.equal(await lab.ok(...auto, '-v', 'v:/w:U', '-u', 'u', image, 'stat', '-c', '%u:%g', '/w/new'), '1000:1000');
    assert.equal(statSync(join(place, 'new')).uid, 1000);
    const mount = ['--mount', `type=image,src=${image},dst=/i,rw`, '--mount', `type=image,src=${image},dst=/j`];
    assert.equal(
      await lab.ok(...auto, ...mount, image, 'sh', '-c', 'touch /i/new && stat -c %u:%g /i/u /i/new /j/u /j/top'),
      '1000:50\n0:0\n1000:50\n2000:2000',
    );
    await lab.ok('rm', '-f', 'first');
    await lab.ok('volume', 'rm', 'v');
    assert.deepEqual(await lab.leftovers(), []);
  },
);
