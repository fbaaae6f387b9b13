/** Two-way sharing of a store with podman, buildah and skopeo: what one writes, the others list, run and remove. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { joinTarSplit, readTarSplit } from '../../src/archive/mod.ts';
import { isKind } from '../../src/base/errors.ts';
import {
  addImage,
  type Entries,
  makeImage,
  scratchStore,
  sha256,
  type TestImage,
} from '../../src/storage/_store.suite.ts';
import type { Store } from '../../src/storage/mod.ts';

const busybox = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
const has = (program: string): boolean => spawnSync('which', [program]).status === 0;
const options: { skip?: string } =
  process.getuid?.() !== 0
    ? { skip: 'needs root' }
    : !has('podman') || !has('runc') || busybox === undefined
      ? { skip: 'needs podman, runc and busybox-static' }
      : {};

interface Shared {
  readonly store: Store;
  readonly graphRoot: string;
  readonly dir: string;
  /** Runs a Go tool on the same store; returns its output. */
  go(program: 'podman' | 'buildah' | 'skopeo', ...args: string[]): string;
}

async function share(t: TestContext): Promise<Shared> {
  const { store, graphRoot, runRoot, dir } = await scratchStore(t);
  const go: Shared['go'] = (program, ...args) => {
    const globals = ['--root', graphRoot, '--runroot', runRoot, '--storage-driver', 'overlay'];
    const own =
      program === 'podman'
        ? ['--tmpdir', join(dir, 'tmp'), '--cgroup-manager', 'cgroupfs', '--events-backend', 'none']
        : [];
    const argv =
      program === 'skopeo'
        ? args.map((arg) => arg.replace(/^STORE:/, `containers-storage:[overlay@${graphRoot}+${runRoot}]`))
        : [...globals, ...own, ...args];
    const result = spawnSync(program, argv, { encoding: 'utf8', cwd: dir });
    assert.equal(result.status, 0, `${program} ${argv.join(' ')}: ${result.stderr}`);
    return result.stdout;
  };
  return { store, graphRoot, dir, go };
}

const layers: readonly Entries[] =
  options.skip !== undefined
    ? []
    : [
        [
          { path: 'bin/', kind: 'dir', mode: 0o755 },
          { path: 'bin/busybox', kind: 'file', mode: 0o755, content: readFileSync(busybox as string) },
          { path: 'bin/sh', kind: 'symlink', linkPath: 'busybox' },
          { path: 'bin/cat', kind: 'link', linkPath: 'bin/busybox', mode: 0o755 },
          { path: 'etc/gone', kind: 'file', content: 'gone' },
          { path: 'etc/kept', kind: 'file', content: 'kept', xattrs: [['user.mark', 'a\0b']] },
          { path: 'opt/hidden', kind: 'file', content: 'hidden' },
        ],
        [
          { path: 'etc/.wh.gone', kind: 'file' },
          { path: 'opt/', kind: 'dir' },
          { path: 'opt/.wh..wh..opq', kind: 'file' },
          { path: 'opt/new', kind: 'file', content: 'new' },
        ],
      ];
const image = (): TestImage => makeImage(layers);

test('podman lists, inspects, mounts, runs and removes an image that the store wrote', options, async (t) => {
  const { store, graphRoot, go } = await share(t);
  const record = await addImage(store, image(), ['docker.io/library/mine:1', 'localhost/also:2']);
  assert.match(go('podman', 'images', '--no-trunc'), new RegExp(`docker.io/library/mine +1 +sha256:${record.id} `));
  assert.equal(JSON.parse(go('podman', 'image', 'inspect', 'localhost/also:2'))[0].Digest, record.digest);
  assert.equal(JSON.parse(go('podman', 'history', '--format', 'json', 'mine:1')).length, 2);
  const root = go('podman', 'image', 'mount', 'mine:1').trim();
  assert.deepEqual(readdirSync(join(root, 'etc')), ['kept']);
  assert.deepEqual(readdirSync(join(root, 'opt')), ['new']);
  assert.ok(statSync(join(root, 'bin/cat')).size > 0);
  go('podman', 'image', 'umount', 'mine:1');
  const cgroup = `tare-store-${process.pid}`;
  t.after(() =>
    spawnSync('find', ['/sys/fs/cgroup', '-depth', '-path', `*/${cgroup}*`, '-type', 'd', '-exec', 'rmdir', '{}', ';']),
  );
  const out = go(
    'podman',
    '--runtime',
    'runc', // Debian's crun refuses a machine with cgroups of both versions
    'run',
    '--rm',
    '--network',
    'none',
    '--cgroup-parent',
    cgroup,
    '--ulimit',
    'nofile=1024:1024',
    '--ulimit',
    'nproc=4096:4096',
    'mine:1',
    '/bin/cat',
    '/etc/kept',
  );
  assert.equal(out, 'kept');
  go('podman', 'rmi', 'localhost/also:2');
  assert.deepEqual(
    store.images().map(({ names }) => names),
    [['docker.io/library/mine:1']],
  );
  go('podman', 'rmi', 'mine:1');
  assert.deepEqual(store.images(), []);
  assert.deepEqual(store.layers(), []);
  assert.deepEqual(readdirSync(join(graphRoot, 'overlay/l')), []);
});

test('skopeo copies the image out of the store with equal digests: tar-split is complete', options, async (t) => {
  const { store, dir, go } = await share(t);
  const made = image();
  const record = await addImage(store, made, ['localhost/out:1']);
  go('skopeo', '--insecure-policy', 'copy', '-q', 'STORE:localhost/out:1', `dir:${join(dir, 'out')}`);
  assert.deepEqual(sha256(readFileSync(join(dir, 'out/manifest.json'))), record.digest);
  for (const tar of made.tars) assert.ok(readFileSync(join(dir, 'out', sha256(tar).slice(7))).equals(tar));
});

test(
  'buildah builds on an image of the store, and the store reads what podman, buildah and skopeo wrote',
  options,
  async (t) => {
    const { store, graphRoot, dir, go } = await share(t);
    const base = await addImage(store, image(), ['localhost/base:1']);
    const container = go('buildah', 'from', 'localhost/base:1').trim();
    assert.equal(store.containers()[0]?.imageId, base.id);
    await assert.rejects(store.removeImage('localhost/base:1'), (error) => isKind(error, 'failed-precondition'));
    go('buildah', 'copy', container, busybox as string, '/bin/again');
    go('buildah', 'commit', '-q', container, 'localhost/built:1');
    go('buildah', 'rm', container);
    const built = store.image('localhost/built:1');
    assert.ok(built?.digest);
    assert.equal(sha256(store.readManifest(built)), built.digest);
    assert.equal(sha256(store.readConfig(built)), `sha256:${built.id}`);
    const chain = store.imageLayers(built);
    assert.equal(chain.length, 3);
    assert.deepEqual(chain.slice(1), store.imageLayers(base));
    assert.equal(await store.hasLayer([...chain].reverse().map((layer) => layer.diffId ?? assert.fail())), true);
    // Their tar-split gives the tar back through our reader.
    const top = chain[0] ?? assert.fail();
    const parts: Uint8Array[] = [];
    for await (const part of joinTarSplit(
      readTarSplit([gunzipSync(readFileSync(store.tarSplitPath(top.id)))]),
      (name) => [readFileSync(join(store.diffPath(top.id), name))],
    ))
      parts.push(part);
    assert.equal(sha256(Buffer.concat(parts)), top.diffId);

    const record = await store.createContainer({
      id: 'ab'.repeat(32),
      name: 'ours',
      imageId: built.id,
      volatile: false,
      metadata: '{}',
    });
    assert.match(go('podman', 'ps', '-a', '--external'), /ours/);
    assert.equal(store.rootfs(record.id).lowers.length, 3);
    assert.deepEqual(store.rootfs(record.id).lowers.at(-1), store.diffPath(chain.at(-1)?.id ?? ''));
    const refused = spawnSync(
      'podman',
      ['--root', graphRoot, '--runroot', join(dir, 'run'), '--storage-driver', 'overlay', 'rmi', built.id],
      { encoding: 'utf8' },
    );
    assert.match(refused.stderr, /in use|used by/);
    await store.removeContainer(record.id);

    const removed = await store.removeImage('localhost/built:1');
    assert.deepEqual(removed.deletedLayers, [top.id]);
    assert.equal(JSON.parse(go('podman', 'images', '--format', 'json')).length, 1);
    go('skopeo', '--insecure-policy', 'copy', '-q', 'STORE:localhost/base:1', `oci:${join(dir, 'oci')}:x`);
    await store.removeImage('localhost/base:1');
    go('skopeo', '--insecure-policy', 'copy', '-q', `oci:${join(dir, 'oci')}:x`, 'STORE:localhost/back:1');
    const back = store.image('localhost/back:1') ?? assert.fail();
    assert.equal(store.imageLayers(back).length, 2);
    const known = await addImage(store, image(), ['localhost/again:1']);
    assert.equal(known.layer, back.layer, 'layers that skopeo wrote are used again');
  },
);

test('names move between images and records keep what others wrote in them', options, async (t) => {
  const { store, graphRoot, go } = await share(t);
  const first = await addImage(store, image(), ['localhost/name:1']);
  const second = await addImage(store, makeImage([[{ path: 'x', kind: 'file' }]]), ['localhost/name:1']);
  assert.deepEqual(
    store.images().map(({ id, names }) => [id, names]),
    [
      [first.id, []],
      [second.id, ['localhost/name:1']],
    ],
  );
  assert.equal(JSON.parse(go('podman', 'images', '-a', '--format', 'json')).length, 2);
  go('podman', 'tag', second.id, 'localhost/podman:1');
  await store.tag('localhost/podman:1', 'localhost/name:2');
  await store.untag('localhost/name:1');
  const raw = JSON.parse(readFileSync(join(graphRoot, 'overlay-images/images.json'), 'utf8')) as Record<
    string,
    unknown
  >[];
  assert.deepEqual(raw[1]?.['names'], ['localhost/podman:1', 'localhost/name:2']);
  assert.deepEqual(raw[1]?.['names-history'], ['localhost/name:2', 'localhost/podman:1', 'localhost/name:1']);
});

test('skopeo and the store write images with common layers at the same time', options, async (t) => {
  const { store, graphRoot, dir, go } = await share(t);
  const made = { ...image(), layers };
  await addImage(store, made, ['localhost/seed:1']);
  go('skopeo', '--insecure-policy', 'copy', '-q', 'STORE:localhost/seed:1', `oci:${join(dir, 'oci')}:x`);
  await store.removeImage('localhost/seed:1');
  const theirs = promisify(execFile)('skopeo', [
    '--insecure-policy',
    'copy',
    '-q',
    `oci:${join(dir, 'oci')}:x`,
    `containers-storage:[overlay@${graphRoot}+${join(dir, 'run')}]localhost/theirs:1`,
  ]);
  const ours = Array.from({ length: 4 }, (_, i) =>
    addImage(store, makeImage([...made.layers, [{ path: `f${i}`, kind: 'file' as const }]]), [`localhost/ours:${i}`]),
  );
  await Promise.all([theirs, ...ours]);
  assert.equal(JSON.parse(go('podman', 'images', '--format', 'json')).length, 5);
});
