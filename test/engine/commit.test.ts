/** `commit`, `export` and `import`: containers as images and tars. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { describe, test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { makeTar } from '../../src/archive/_tar.suite.ts';
import { TareError } from '../../src/base/errors.ts';
import {
  commitContainer,
  exportContainer,
  imageHistory,
  importImage,
  inspectImage,
  listImages,
  pullImage,
  removeContainer,
  stopContainer,
} from '../../src/engine/mod.ts';
import { isCgroupFrozen } from '../../src/runtime/cgroup/mod.ts';
import { containerCgroup } from '../../src/engine/cgroups.ts';
import { reconcile } from '../../src/engine/reconcile.ts';
import { readRecord } from '../../src/engine/record.ts';
import { whilePaused } from '../../src/engine/while-paused.ts';
import { busyboxImage, noBusybox } from '../support/images.ts';
import { canRun, clear, Lab, outcome, until } from './lab.ts';

const skip = canRun || noBusybox();
/** A module of the engine's, as a URL: in the virtual machine there are no types. */
const source = (name: string): string =>
  new URL(`../../src/engine/${name}${extname(import.meta.filename)}`, import.meta.url).href;

interface Config {
  readonly Env: readonly string[];
  readonly Cmd: readonly string[];
  readonly Entrypoint: readonly string[] | null;
  readonly User: string;
  readonly WorkingDir: string;
  readonly Labels: Readonly<Record<string, string>>;
}

async function configOf(lab: Lab, image: string): Promise<Config> {
  return ((await inspectImage(lab.engine, image)) as { Config: Config }).Config;
}

/** A lab with the busybox image. */
async function filled(): Promise<Lab> {
  const lab = new Lab();
  await pullImage(lab.engine, (await busyboxImage()).source);
  return lab;
}

const changes = `rm /etc/group; echo x >/new; ln /new /hard; mkdir -p /home/deep; echo y >/home/deep/f; chown 1000:1000 /home/deep
  rm -r /usr/bin; mkdir /usr/bin; echo z >/usr/bin/z; chmod 4711 /usr/bin/z; mknod /pipe p; mknod /null c 1 3; ln -s nowhere /link; chmod 700 /var; echo done >/ready`;

/** All a container sees of its files, mounts left out. */
const look =
  'cd /; find . -xdev ! -path ./proc ! -path ./sys ! -path "./dev*" ! -path ./etc/hosts ! -path ./etc/hostname ! -path ./etc/resolv.conf ! -path ./etc | sort | while read f; do stat -c "%N %f %u:%g %t:%T" "$f"; [ -f "$f" ] && [ -r "$f" ] && md5sum <"$f"; done; stat -c %i /new /hard | uniq | wc -l';

describe('commit', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('a running container becomes an image with one layer more, and a container of that sees the same files', async () => {
    await using lab = await filled();
    await lab.detached(['sh', '-c', `${changes}; exec sleep 1000`], { source: 'busybox', name: 'box' });
    await until(() => existsSync(upper(lab, 'box', 'ready')), 20_000, 'it is ready');
    const before = await lab.tare('exec', 'box', 'sh', '-c', look);
    const { imageId, name, warnings } = await commitContainer(lab.engine, 'box', {
      name: 'mine:1',
      author: 'A. Person',
      message: 'it works',
      changes: ['CMD ["cat","/new"]', 'ENV ADDED=yes', 'LABEL a=b'],
    });
    assert.deepEqual([name, warnings], ['localhost/mine:1', []]);
    assert.ok(!isCgroupFrozen(containerCgroup(lab.engine, readRecord(lab.engine, idOf(lab, 'box')).id)), 'it goes on');
    const after = await lab.sh(look, { source: 'mine:1' });
    assert.equal(after, before.stdout.trimEnd());
    assert.match(before.stdout, /\n1\n?$/, 'a hard link is one file');
    assert.equal((await lab.run([], { source: 'mine:1' })).stdout, 'x\n');
    const config = await configOf(lab, 'mine:1');
    assert.deepEqual(
      [config.Env, config.Cmd, config.Entrypoint, config.User, config.WorkingDir, config.Labels],
      [['PATH=/usr/bin:/bin', 'FROM_IMAGE=yes', 'ADDED=yes'], ['cat', '/new'], null, '', '', { a: 'b' }],
    );
    const [newest, oldest] = await imageHistory(lab.engine, 'mine:1');
    assert.deepEqual([newest?.id, newest?.comment, oldest?.createdBy], [imageId, 'it works', 'layer 0']);
    assert.match(newest?.createdBy ?? '', /^sh -c rm \/etc\/group/);
    const store = await lab.engine.store();
    assert.equal(
      store.layers().filter(({ id }) => !store.containers().some(({ layer }) => layer === id)).length,
      2,
      'the base is used as it is',
    );
    // The same again is the same layer.
    const again = await commitContainer(lab.engine, 'box', { name: 'mine:2' });
    assert.deepEqual(await layersOf(lab, again.imageId), await layersOf(lab, imageId));
    // From what was committed, once more.
    await lab.run(['sh', '-c', 'rm /new; echo 2 >/second'], { source: 'mine:1', name: 'box2', autoRemove: false });
    await commitContainer(lab.engine, 'box2', { name: 'mine:3' });
    assert.equal(await lab.sh('cat /second /hard; ls /new 2>&1 | wc -l', { source: 'mine:3' }), '2\nx\n1');
  });

  test('what the user said of the container goes into the image, what the engine gave it does not', async () => {
    await using lab = await filled();
    await lab.run(['sh', '-c', 'true'], {
      source: 'busybox',
      name: 'box',
      autoRemove: false,
      env: ['MODE=x y', 'FROM_IMAGE=changed'],
      user: 'user:staff',
      workdir: '/home',
      labels: { one: '1' },
      stopSignal: 'USR1',
    });
    await commitContainer(lab.engine, 'box', { name: 'first' });
    const config = await configOf(lab, 'first');
    assert.deepEqual(
      [
        config.Env,
        config.Cmd,
        config.User,
        config.WorkingDir,
        config.Labels,
        (config as unknown as { StopSignal: string }).StopSignal,
      ],
      [
        ['PATH=/usr/bin:/bin', 'FROM_IMAGE=changed', 'MODE=x y'],
        ['sh', '-c', 'true'],
        '1000:50',
        '/home',
        { one: '1' },
        'SIGUSR1',
      ],
    );
    await lab.run(['true'], { source: 'first', name: 'entry', autoRemove: false, entrypoint: ['sh', '-c'] });
    await commitContainer(lab.engine, 'entry', {
      name: 'second',
      changes: ['ENTRYPOINT ["sh","-c"]', 'CMD ["echo $MODE; id -u; pwd"]'],
    });
    assert.equal((await lab.run([], { source: 'second' })).stdout, 'x y\n1000\n/home\n');
    await lab.run(['echo again'], { source: 'second', name: 'third', autoRemove: false });
    await commitContainer(lab.engine, 'third', { name: 'third' });
    const third = await configOf(lab, 'third');
    assert.deepEqual([third.Entrypoint, third.Cmd], [['sh', '-c'], ['echo again']]);
  });

  test('host: and rootfs: containers become an image of what changed, with a warning; --squash takes all', async () => {
    await using lab = await filled();
    await lab.run(['sh', '-c', 'echo n >/data/new; rm /data/one'], { name: 'box', autoRemove: false });
    const { warnings } = await commitContainer(lab.engine, 'box', { name: 'changed', changes: ['CMD ["x"]'] });
    assert.match(warnings.join(), /holds only what box changed/);
    const store = await lab.engine.store();
    const image = store.image('localhost/changed:latest');
    assert.ok(image?.layer !== undefined);
    assert.equal(readFileSync(join(store.diffPath(image.layer), 'data/new'), 'utf8'), 'n\n');
    assert.ok(!existsSync(join(store.diffPath(image.layer), 'bin')));
    await commitContainer(lab.engine, 'box', { name: 'whole', squash: true });
    assert.equal(await lab.sh('cat /data/new; ls /data', { source: 'whole' }), 'n\nbelow\nnew\ntwo');
    await lab.run(['true'], { source: `rootfs:${lab.rootfs}`, name: 'plain', autoRemove: false });
    await assert.rejects(
      commitContainer(lab.engine, 'plain', { name: 'no' }),
      clear('unsupported', /no writable layer/),
    );
  });

  test('what is refused is refused before anything stands still or is stored', async () => {
    await using lab = await filled();
    await lab.detached(['sleep', '1000'], { source: 'busybox', name: 'box' });
    await assert.rejects(commitContainer(lab.engine, 'none'), clear('not-found', /no such container/));
    await assert.rejects(
      commitContainer(lab.engine, 'box', { changes: ['RUN x'] }),
      clear('invalid', /expected one of/),
    );
    await assert.rejects(commitContainer(lab.engine, 'box', { name: 'Big' }), clear('invalid', /lower case/));
    await assert.rejects(commitContainer(lab.engine, 'box', { signal: AbortSignal.abort() }), clear('cancelled', /./));
    assert.deepEqual(
      (await listImages(lab.engine)).map(({ names }) => names),
      [['localhost/busybox:latest']],
    );
    await lab.tare('exec', 'box', 'sh', '-c', 'echo >/.wh.x');
    await assert.rejects(commitContainer(lab.engine, 'box'), clear('unsupported', /begin with \.wh\./));
    assert.equal((await lab.tare('exec', 'box', 'true')).code, 0, 'it goes on');
  });

  test('a container that stands still for us goes on when we are killed, one that stood still before does not', async () => {
    await using lab = await filled();
    await lab.detached(['sleep', '1000'], { source: 'busybox', name: 'box' });
    const id = idOf(lab, 'box');
    const cgroup = containerCgroup(lab.engine, id);
    const child = spawnSync(
      process.execPath,
      [
        '-e',
        `const { createEngine } = await import(${JSON.stringify(source('engine'))});
         const { whilePaused } = await import(${JSON.stringify(source('while-paused'))});
         const { readRecord } = await import(${JSON.stringify(source('record'))});
         const engine = createEngine(${JSON.stringify(lab.options)});
         await whilePaused(engine, readRecord(engine, ${JSON.stringify(id)}), async () => process.kill(process.pid, 'SIGKILL'));`,
      ],
      { encoding: 'utf8' },
    );
    assert.equal(child.signal, 'SIGKILL', child.stderr);
    assert.ok(isCgroupFrozen(cgroup));
    assert.equal((await lab.tare('exec', 'box', 'echo', 'on')).stdout, 'on\n');
    assert.ok(!isCgroupFrozen(cgroup));
    const { freezeCgroup, thawCgroup } = await import('../../src/runtime/cgroup/mod.ts');
    await freezeCgroup(cgroup);
    await whilePaused(lab.engine, readRecord(lab.engine, id), async () => assert.ok(isCgroupFrozen(cgroup)));
    await reconcile(lab.engine, id);
    assert.ok(isCgroupFrozen(cgroup), 'somebody else stopped it');
    thawCgroup(cgroup);
    await whilePaused(lab.engine, readRecord(lab.engine, id), async () => {
      await reconcile(lab.engine, id);
      assert.ok(isCgroupFrozen(cgroup), 'who looks meanwhile leaves it');
    });
    assert.ok(!isCgroupFrozen(cgroup));
    assert.ok(!existsSync(lab.at(id, 'standstill')));
  });

  test('several at once, killed, or while the container is removed: it goes on or is gone, and nothing is left', async () => {
    await using lab = await filled();
    const writer =
      'i=0; while :; do i=$((i+1)); mkdir -p /w/$i; echo $i >/w/$i/f; rm -r /w/$((i-20)) 2>/dev/null; done';
    await lab.detached(['sh', '-c', writer], { source: 'busybox', name: 'box' });
    const all = await Promise.all(
      Array.from({ length: 4 }, (_, n) => commitContainer(lab.engine, 'box', { name: `n:${n}` })),
    );
    assert.equal(new Set(all.map(({ imageId }) => imageId)).size, 4);
    // Without standing still: what vanishes meanwhile is left out.
    await commitContainer(lab.engine, 'box', { name: 'moving', pause: false });
    const id = idOf(lab, 'box');
    const cgroup = containerCgroup(lab.engine, id);
    for (let round = 0; round < 12; round++) {
      const child = lab.startTare(['commit', 'box', 'killed']);
      // It may end before we are there.
      const ended = outcome(child);
      await new Promise((resolve) => setTimeout(resolve, 30 + round * 25));
      child.kill('SIGKILL');
      await ended;
      assert.equal((await lab.tare('exec', 'box', 'echo', 'on')).stdout, 'on\n');
      assert.ok(!isCgroupFrozen(cgroup));
    }
    await commitContainer(lab.engine, 'box', { name: 'after' });
    const racing = Promise.allSettled([1, 2].map(() => commitContainer(lab.engine, 'box', {})));
    await removeContainer(lab.engine, 'box', { force: true });
    for (const result of await racing)
      if (result.status === 'rejected') assert.ok(result.reason instanceof TareError, String(result.reason));
    assert.equal(await lab.sh('ls /w | wc -l', { source: 'after' }).then((text) => Number(text) > 0), true);
    await lab.anotherEngine().store();
    assert.deepEqual(await lab.leftovers(), []);
    const { storageRoot } = lab.engine;
    for (const dir of ['overlay/staging', 'overlay/tempdirs', 'overlay-layers/tempdirs'])
      assert.deepEqual(
        existsSync(join(storageRoot, dir))
          ? readdirSync(join(storageRoot, dir)).filter((name) => !name.endsWith('.lock'))
          : [],
        [],
        dir,
      );
  });
});

describe('export and import', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('a container goes out and comes back as an image; running and stopped give the same files', async () => {
    await using lab = await filled();
    await lab.detached(['sh', '-c', `${changes}; exec sleep 1000`], {
      source: 'busybox',
      name: 'box',
      mounts: [{ type: 'tmpfs', destination: '/mnt', options: [] }],
    });
    await until(() => existsSync(upper(lab, 'box', 'ready')), 20_000, 'it is ready');
    await lab.tare('exec', 'box', 'sh', '-c', 'echo hidden >/mnt/secret');
    const running = await buffer(exportContainer(lab.engine, 'box'));
    await stopContainer(lab.engine, 'box', { timeoutSeconds: 0 });
    const stopped = await buffer(exportContainer(lab.engine, 'box'));
    const listed = (tar: Buffer): string => spawnSync('tar', ['-t'], { input: tar, encoding: 'utf8' }).stdout;
    assert.equal(listed(running), listed(stopped));
    assert.ok((await buffer(exportContainer(lab.engine, 'box'))).equals(stopped), 'the same bytes each time');
    assert.ok(!running.includes('mnt/secret') && listed(running).includes('\nmnt/\nnew\n'), 'mounts are left out');
    assert.ok(!listed(running).includes('etc/group'));
    const { imageId, name } = await importImage(lab.engine, {
      input: chunks(running),
      name: 'back',
      message: 'hello',
      changes: ['CMD cat /new', 'ENV A=b'],
    });
    assert.equal(name, 'localhost/back:latest');
    assert.equal((await lab.run([], { source: 'back' })).stdout, 'x\n');
    assert.equal(
      await lab.sh('echo $A; stat -c %a:%u /usr/bin/z /home/deep', { source: 'back' }),
      'b\n4711:0\n755:1000',
    );
    const [line] = await imageHistory(lab.engine, imageId);
    assert.equal(line?.comment, 'hello');
    await removeContainer(lab.engine, 'box');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('import reads files, compressed, and addresses; nothing is stored of what is no tar or ends early', async () => {
    await using lab = new Lab();
    const tar = makeTar([
      { path: 'bin/', kind: 'dir' },
      { path: 'bin/x', kind: 'file', content: 'x', mode: 0o755 },
    ]);
    const server = createServer((request, response) => {
      if (request.url === '/to') response.writeHead(302, { location: '/tar.gz' }).end();
      else if (request.url === '/tar.gz') response.end(gzipSync(tar));
      else if (request.url === '/cut')
        response.writeHead(200, { 'content-length': '9999' }).end(tar, () => response.destroy());
      else response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      mkdirSync(join(lab.dir, 'files'));
      writeFileSync(join(lab.dir, 'files/a.tar'), tar);
      writeFileSync(join(lab.dir, 'files/a.tar.gz'), gzipSync(tar));
      writeFileSync(join(lab.dir, 'files/a.tar.zst'), zstdCompressSync(tar));
      writeFileSync(join(lab.dir, 'files/text'), 'this is no archive'.repeat(100));
      const layers = new Set<string>();
      for (const input of [
        'files/a.tar',
        'files/a.tar.gz',
        `${lab.dir}/files/a.tar.zst`,
        `${address}/tar.gz`,
        `${address}/to`,
      ]) {
        const { imageId } = await importImage(lab.engine, { input, cwd: lab.dir });
        layers.add(JSON.stringify(await layersOf(lab, imageId)));
      }
      assert.equal(layers.size, 1, 'one layer for all');
      const known = (await listImages(lab.engine)).length;
      for (const [input, kind, why] of [
        ['files/none', 'not-found', /no such file/],
        ['files/text', 'invalid', /checksum|tar/],
        [`${address}/none`, 'not-found', /404/],
        [`${address}/cut`, 'unavailable', /Cannot import/],
        ['http://127.0.0.1:1/x', 'unavailable', /ECONNREFUSED|Cannot import/],
        [chunks(tar.subarray(0, tar.length - 1024)), 'invalid', /cut short/],
      ] as const)
        await assert.rejects(importImage(lab.engine, { input, cwd: lab.dir }), clear(kind, why));
      await assert.rejects(importImage(lab.engine, { input: 'files/a.tar', cwd: lab.dir, changes: ['X'] }), TareError);
      await assert.rejects(importImage(lab.engine, { input: 'files/a.tar', cwd: lab.dir, name: 'A' }), TareError);
      assert.equal((await listImages(lab.engine)).length, known);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });
});

async function* chunks(bytes: Buffer): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
}

function idOf(lab: Lab, name: string): string {
  return spawnSync('readlink', [join(lab.engine.namesDir, name)], { encoding: 'utf8' }).stdout.trim();
}

/** A file in the writable layer of a container that is made from an image. */
function upper(lab: Lab, name: string, ...parts: string[]): string {
  const containers = JSON.parse(
    readFileSync(join(lab.engine.storageRoot, 'overlay-containers/containers.json'), 'utf8'),
  ) as { id: string; layer: string }[];
  const { layer = '' } = containers.find(({ id }) => id === idOf(lab, name)) ?? {};
  return join(lab.engine.storageRoot, 'overlay', layer, 'diff', ...parts);
}

async function layersOf(lab: Lab, imageId: string): Promise<unknown> {
  return ((await inspectImage(lab.engine, imageId)) as { RootFS: { Layers: unknown } }).RootFS.Layers;
}
