/** From a registry or a layout to a running process, and back to nothing: the whole path of `tare run IMAGE`. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { text } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { isKind } from '../../src/base/errors.ts';
import { imageForRun, inspectImage, listImages, pullImage, removeImage, runContainer } from '../../src/engine/mod.ts';
import { open, type PullEvent } from '../../src/mod.ts';
import { canRun, Lab, until } from '../engine/lab.ts';
import { blobsOf, buildImage, buildIndex, hostArchitecture, writeLayout, type BuiltImage } from '../support/image.ts';
import { buildBusybox, busyboxImage, debianImage, noBusybox, noDebian } from '../support/images.ts';
import { noRegistry, startRegistry } from '../support/registry.ts';
import { tarOf } from '../support/tar.ts';
import { canPodman, peer, podmanRun } from './peer.ts';

const skip = canRun || noBusybox() || noRegistry();

/** Busybox with a layer of one file on it. */
function variant(
  mark: string,
  parts: { readonly config?: Record<string, unknown>; readonly architecture?: string } = {},
): BuiltImage {
  const base = gunzipSync(buildBusybox().layers[0]?.bytes ?? assert.fail());
  return buildImage({
    layers: [base, tarOf([{ name: 'mark', content: mark }])],
    config: parts.config ?? { Cmd: ['cat', '/mark'], Env: ['PATH=/bin'] },
    ...(parts.architecture === undefined ? {} : { architecture: parts.architecture }),
  });
}

/** Writes an image into a layout of the lab and returns `oci:DIR:NAME`. */
function layoutOf(lab: Lab, name: string, image: BuiltImage): string {
  const dir = join(lab.dir, `layout-${name}`);
  mkdirSync(dir, { recursive: true });
  writeLayout(dir, blobsOf(image), { [name]: image.manifest });
  return `oci:${dir}:${name}`;
}

const storageFile = (lab: Lab, name: string): string => join(lab.options.storageRoot, name);

/** What containers leave in the store: records and layers that no image has. */
async function containerTraces(lab: Lab): Promise<string[]> {
  const store = await lab.anotherEngine().store();
  const kept = new Set(store.images().flatMap((image) => store.imageLayers(image).map(({ id }) => id)));
  const dirs = readdirSync(storageFile(lab, 'overlay')).filter(
    (name) => /^[0-9a-f]{64}$/.test(name) && !kept.has(name),
  );
  const records = ['containers.json', 'volatile-containers.json'].flatMap((name) => {
    const path = storageFile(lab, `overlay-containers/${name}`);
    return existsSync(path)
      ? (JSON.parse(readFileSync(path, 'utf8')) as { id: string }[]).map(({ id }) => `${name} ${id}`)
      : [];
  });
  const folders = readdirSync(storageFile(lab, 'overlay-containers')).filter((name) => /^[0-9a-f]{64}$/.test(name));
  return [
    ...dirs,
    ...records,
    ...folders,
    ...store
      .layers()
      .filter(({ id }) => !kept.has(id))
      .map(({ id }) => `layer ${id}`),
  ];
}

describe('images', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('a pull keeps the blobs of its layers as they came, until the layers go', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    registry.push((await busyboxImage()).source, 'box:1');
    const kept = join(lab.options.root, 'cache/blobs');
    const name = `${registry.domain}/box:1`;
    await pullImage(lab.engine, name);
    const names = (): string[] => (existsSync(kept) ? readdirSync(kept) : []);
    const digests = (): string[] =>
      names().map(
        (file) =>
          `sha256-${createHash('sha256')
            .update(readFileSync(join(kept, file)))
            .digest('hex')}`,
      );
    const store = await lab.engine.store();
    assert.deepEqual(
      names().map((file) => file.replace('-', ':')),
      store.layers().map(({ compressedDigest }) => compressedDigest),
    );
    assert.deepEqual(digests(), names());
    await removeImage(lab.engine, name);
    assert.deepEqual(names(), []);
    const { code, stderr } = await lab.tare('--keep-blobs=false', 'pull', '-q', name);
    assert.equal(code, 0, stderr);
    assert.deepEqual(names(), []);
  });

  test('load keeps blobs as a pull does, but no plain tars; image prune deletes them; a cap that refuses an image leaves them', async () => {
    await using lab = new Lab();
    const kept = join(lab.options.root, 'cache/blobs');
    const names = (): string[] => (existsSync(kept) ? readdirSync(kept) : []);
    const packed = variant('packed');
    const plain = buildImage({
      layers: [tarOf([{ name: 'plain', content: 'plain' }])],
      compress: (tar) => tar,
      layerType: 'application/vnd.oci.image.layer.v1.tar',
    });
    for (const image of [packed, plain]) {
      const dir = layoutOf(lab, image === packed ? 'packed' : 'plain', image).split(':')[1] ?? '';
      const loaded = await lab.tare('load', '-q', '-i', dir);
      assert.equal(loaded.code, 0, loaded.stderr);
    }
    const digests = packed.layers.map(({ descriptor }) => descriptor.digest.replace(':', '-'));
    assert.deepEqual(names().sort(), digests.sort());
    const many = buildImage({ layers: Array.from({ length: 501 }, () => tarOf([])) });
    await assert.rejects(pullImage(lab.engine, layoutOf(lab, 'many', many)));
    assert.deepEqual(names().sort(), digests, 'what is refused once is refused again: nothing has to give way');
    assert.equal((await lab.tare('image', 'prune', '-a', '-f')).code, 0);
    assert.deepEqual(names(), []);
  });

  test('Tare.push: what was pulled has the same digest in another registry', async () => {
    await using lab = new Lab();
    await using from = await startRegistry();
    await using to = await startRegistry();
    from.push((await busyboxImage()).source, 'box:1');
    const { root, runRoot, storageRoot, storageRunRoot } = lab.options;
    await using tare = await open({ root, runRoot, storageRoot, storageRunRoot });
    const name = `${from.domain}/box:1`;
    await tare.pull(name);
    const digest = (await lab.engine.store()).images()[0]?.digest;
    assert.equal(await tare.push(name, `${to.domain}/moved/box:2`), digest);
    await from.stop();
    const again = await pullImage(lab.anotherEngine(), `${to.domain}/moved/box:2`);
    assert.equal(again.digest, digest);
    await assert.rejects(tare.push('absent', `${to.domain}/x:1`), { kind: 'not-found' });
  });

  test('while a container of an image runs, its layer counts as mounted; a dead monitor or a restart leaves no count behind', async () => {
    await using lab = new Lab();
    const { source } = await busyboxImage();
    await pullImage(lab.engine, source);
    const counts = (): number =>
      (
        JSON.parse(
          readFileSync(join(lab.options.storageRunRoot, 'overlay-layers/mountpoints.json'), 'utf8'),
        ) as unknown[]
      ).length;
    const start = await lab.tare('run', '-d', '--name', 'counted', 'localhost/busybox', 'sleep', '1000');
    assert.equal(start.code, 0, start.stderr);
    assert.equal(counts(), 1);
    await lab.tare('kill', 'counted');
    await lab.tare('wait', 'counted');
    await until(() => lab.processes().length === 0, 5000, 'its monitor has ended');
    await lab.tare('ps', '-a');
    assert.equal(counts(), 0);
    assert.equal((await lab.tare('start', 'counted')).code, 0);
    assert.equal(counts(), 1);
    const monitor = lab.monitorOf(start.stdout.trim());
    process.kill(monitor, 'SIGKILL');
    await until(() => !existsSync(`/proc/${monitor}/fd/0`), 5000, 'its monitor is dead');
    await lab.tare('ps', '-a');
    assert.equal(counts(), 0);
    assert.equal((await lab.tare('run', '--name', 'again', 'localhost/busybox', 'true')).code, 0);
    assert.equal(counts(), 0, 'one that its client saw to the end');
    await lab.tare('create', '--name', 'never', 'localhost/busybox', 'true');
    assert.equal(counts(), 0, 'one that was never started');
    for (const args of [['ps'], ['ps', '-a']]) {
      assert.equal((await lab.tare('init', 'never')).code, 0);
      assert.equal(counts(), 1, 'one that waits for its start');
      assert.equal((await lab.tare('stop', 'never')).code, 0);
      await until(() => lab.processes().length === 0, 5000, 'its monitor has ended');
      await lab.tare(...args);
      assert.equal(counts(), 0, 'one that waits no more');
    }
  });

  test('run: pulls from a registry with progress, runs, exits with the code of the process, and needs no registry again', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    const { source } = await busyboxImage();
    registry.push(source, 'lib/busybox:1');
    const name = `${registry.domain}/lib/busybox:1`;
    const first = await lab.tare('run', '--rm', name, 'sh', '-c', 'echo out; echo err >&2; echo $FROM_IMAGE; exit 6');
    assert.equal(first.code, 6, first.stderr);
    assert.equal(first.stdout, 'out\nyes\n');
    assert.match(first.stderr, /^Image sha256:[0-9a-f]{64}: 1 layers\n[0-9a-f]{12}: done\nWriting the image\nerr\n$/);
    await registry.stop();
    assert.deepEqual(await lab.tare('run', '--rm', name, 'true'), { code: 0, stdout: '', stderr: '' });
    const refused = await lab.tare('run', '--rm', '--pull', 'always', name, 'true');
    assert.equal(refused.code, 125);
    assert.match(refused.stderr, /^Error: Cannot .*\n$/);
    assert.deepEqual(await containerTraces(lab), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('run --quiet: no progress; pull prints the id; an unknown image is 125', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    registry.push((await busyboxImage()).source, 'box:1');
    assert.deepEqual(await lab.tare('run', '-q', '--rm', `${registry.domain}/box:1`, 'echo', 'hi'), {
      code: 0,
      stdout: 'hi\n',
      stderr: '',
    });
    const { stdout } = await lab.tare('pull', '-q', `docker://${registry.domain}/box:1`);
    const [image] = await listImages(lab.engine);
    assert.equal(stdout, `${image?.id ?? ''}\n`);
    const unknown = await lab.tare('run', '--rm', `${registry.domain}/none:1`, 'true');
    assert.equal(unknown.code, 125);
    assert.match(unknown.stderr, /none:1/);
    assert.equal((await lab.tare('run', '--rm', '--pull', 'never', 'elsewhere.example/x', 'true')).code, 125);
  });

  test('pull: TLS with an authority of its own; without it the registry is not trusted', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry({ tls: true });
    execFileSync('skopeo', [
      '--insecure-policy',
      'copy',
      '-q',
      '--dest-tls-verify=false',
      (await busyboxImage()).source,
      `docker://${registry.domain}/box:1`,
    ]);
    await using tare = await open(lab.options);
    await assert.rejects(
      tare.pull(`${registry.domain}/box:1`),
      (error) => isKind(error, 'denied') || isKind(error, 'unavailable'),
    );
    assert.deepEqual(await listImages(lab.engine), []);
    const events: PullEvent['phase'][] = [];
    const id = await tare.pull(`${registry.domain}/box:1`, {
      ca: [registry.ca ?? ''],
      onProgress: ({ phase }) => events.push(phase),
    });
    assert.deepEqual([events[0], events.at(-1)], ['resolved', 'commit']);
    await using box = await tare.run(id.slice(0, 12), ['echo', 'by id']);
    assert.equal(await text(box.stdout), 'by id\n');
  });

  test('run: an image of oci: and oci-archive: given as it is', async () => {
    await using lab = new Lab();
    const source = layoutOf(lab, 'one', variant('one'));
    assert.equal((await lab.tare('run', '-q', '--rm', source)).stdout, 'one');
    const [, dir = ''] = source.split(':');
    const archive = join(lab.dir, 'image.tar');
    execFileSync('tar', ['-cf', archive, '-C', dir, '.']);
    await removeImage(lab.engine, 'one');
    const outcome = await lab.tare('run', '--rm', `oci-archive:${archive}:one`);
    assert.equal(outcome.stdout, 'one', outcome.stderr);
    assert.equal((await lab.tare('run', '--rm', '--pull', 'never', 'localhost/one')).stdout, 'one');
    await using tare = await open(lab.options);
    await using box = await tare.run('one');
    assert.equal(await text(box.stdout), 'one');
  });

  test('run: the image config is applied: entrypoint, command, environment, folder, user by name, labels, volumes, stop signal, healthcheck', async () => {
    await using lab = new Lab();
    const config = {
      Entrypoint: ['sh', '-c'],
      Cmd: ['echo "$(id -un) $(pwd) $A $B"; touch /var/data/mine && echo volume'],
      Env: ['PATH=/bin', 'A=image', 'B=image'],
      WorkingDir: '/home/deep',
      User: 'user',
      Labels: { a: 'image', b: 'image' },
      Volumes: { '/var/data': {} },
      StopSignal: 'SIGUSR1',
      Healthcheck: { Test: ['CMD', 'true'], Interval: 5_000_000_000 },
    };
    const layer = tarOf([
      { name: 'home/deep/', type: 'directory', uid: 1000 },
      { name: 'var/data/', type: 'directory', mode: 0o777 },
      { name: 'var/data/given', content: 'given' },
    ]);
    const base = gunzipSync(buildBusybox().layers[0]?.bytes ?? assert.fail());
    const source = layoutOf(lab, 'rich', buildImage({ layers: [base, layer], config }));
    const out = await lab.tare('run', '-q', '--name', 'rich', '-e', 'B=flag', '-l', 'b=flag', source);
    assert.deepEqual(out, { code: 0, stdout: 'user /home/deep image flag\nvolume\n', stderr: '' });
    const [seen] = JSON.parse((await lab.tare('inspect', 'rich')).stdout) as [
      { Config: Record<string, unknown>; ImageName: string },
    ];
    assert.equal(seen.ImageName, 'localhost/rich:latest');
    assert.deepEqual(seen.Config['Labels'], { a: 'image', b: 'flag' });
    assert.equal(seen.Config['StopSignal'], 'SIGUSR1');
    assert.deepEqual((seen.Config['Healthcheck'] as { Test: unknown }).Test, ['CMD', 'true']);
    // A volume's content is the image's; what is written there is no change of the container.
    assert.equal((await lab.tare('run', '--rm', 'rich', 'cat /var/data/given')).stdout, 'given');
    assert.equal((await lab.tare('diff', 'rich')).stdout, '');
    // The user's word over the image's.
    assert.equal(
      (await lab.tare('run', '--rm', '--entrypoint', 'id', '-u', '0', '-w', '/', 'rich', '-u')).stdout,
      '0\n',
    );
    assert.match((await lab.tare('run', '--rm', '--entrypoint', '', 'rich')).stderr, /no command/);
    const image = (await inspectImage(lab.engine, 'rich')) as {
      Config: Record<string, unknown>;
      NamesHistory: string[];
      RepoDigests: string[];
    };
    assert.deepEqual(image.Config['Healthcheck'], {
      Test: ['CMD', 'true'],
      Interval: 5_000_000_000,
      Timeout: undefined,
      StartPeriod: undefined,
      StartInterval: undefined,
      Retries: undefined,
    });
    assert.match(image.RepoDigests[0] ?? '', /^localhost\/rich@sha256:[0-9a-f]{64}$/);
    assert.deepEqual(image.NamesHistory, ['localhost/rich:latest']);
  });

  test('imageForRun: missing, always, never and newer', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    const name = `${registry.domain}/app:1`;
    const push = (mark: string) => registry.push(layoutOf(lab, mark, variant(mark)), 'app:1');
    const run = async (policy: string) => (await lab.tare('run', '-q', '--rm', '--pull', policy, name)).stdout;
    push('old');
    assert.equal(await run('never'), '');
    assert.equal(await run('missing'), 'old');
    push('new');
    assert.equal(await run('missing'), 'old');
    assert.equal(await run('newer'), 'new');
    const events: string[] = [];
    const how = { onProgress: ({ phase }: PullEvent) => void events.push(phase) };
    await imageForRun(lab.engine, name, { pull: 'newer' }, how);
    assert.deepEqual(events, [], 'the same digest is not pulled again');
    push('third');
    assert.equal(await run('always'), 'third');
    await imageForRun(lab.engine, name, { pull: 'always' }, how);
    assert.deepEqual(events, ['resolved', 'present', 'present', 'commit']);
    await registry.stop();
    assert.equal(await run('newer'), 'third');
    assert.equal(await run('always'), '');
    // Names that moved on leave their images without one.
    assert.deepEqual((await listImages(lab.engine)).map(({ names }) => names.length).sort(), [0, 0, 1]);
    assert.match((await lab.tare('images')).stdout, /<none> +<none>/);
  });

  test('imageForRun: --platform chooses from an index, and a stored image of another platform will not do', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    const other = hostArchitecture() === 'amd64' ? 'arm64' : 'amd64';
    const images = [hostArchitecture(), other].map((architecture) => ({
      architecture,
      image: variant(architecture, { architecture }),
    }));
    const index = buildIndex(images);
    const dir = join(lab.dir, 'index');
    writeLayout(dir, [index, ...images.flatMap(({ image }) => blobsOf(image))], { all: index });
    registry.push(`oci:${dir}:all`, 'multi:1', { all: true });
    const name = `${registry.domain}/multi:1`;
    const run = async (...flags: string[]) => (await lab.tare('run', '-q', '--rm', ...flags, name)).stdout;
    assert.equal(await run(), hostArchitecture());
    assert.equal(await run('--pull', 'never', '--platform', `linux/${other}`), '');
    assert.equal(await run('--platform', `linux/${other}`), other);
    const events: string[] = [];
    await imageForRun(
      lab.engine,
      name,
      { pull: 'newer', platform: `linux/${other}` },
      { onProgress: ({ phase }) => void events.push(phase) },
    );
    assert.deepEqual(events, [], 'newer compares with the manifest of the platform');
    const missing = await lab.tare('pull', '-q', '--platform', 'linux/s390x', name);
    assert.match(missing.stderr, /^Error: Cannot find an image for linux\/s390x/);
  });

  test('rmi: untags, deletes with the last name, and refuses while a container uses the image, running or not', async () => {
    await using lab = new Lab();
    const { imageId } = await pullImage(lab.engine, layoutOf(lab, 'one', variant('one')));
    const store = await lab.engine.store();
    await store.tag(imageId, 'docker.io/library/two:latest');
    assert.match((await lab.tare('rmi', imageId)).stderr, /^Error: Cannot remove image .*2 names/);
    const id = (await lab.tare('run', '-d', 'two', 'sleep', '1000')).stdout.trim();
    assert.equal((await lab.tare('rmi', 'localhost/one:latest')).stdout, 'Untagged: localhost/one:latest\n');
    for (const force of [[], ['-f']]) {
      const refused = await lab.tare('rmi', ...force, 'two');
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /^Error: Cannot remove image .*: container \S+ uses it/);
    }
    await lab.tare('stop', '-t', '0', id);
    assert.match((await lab.tare('rmi', 'two')).stderr, /uses it/);
    await lab.tare('rm', id);
    assert.deepEqual(await lab.tare('rmi', 'two'), {
      code: 0,
      stdout: `Untagged: docker.io/library/two:latest\nDeleted: sha256:${imageId}\n`,
      stderr: '',
    });
    assert.equal((await lab.tare('rmi', 'two')).code, 1);
    assert.equal((await lab.tare('rmi', '-f', 'two')).code, 0);
    assert.deepEqual([store.images(), store.layers(), readdirSync(storageFile(lab, 'overlay/l'))], [[], [], []]);
    // By id and with force, all names go.
    await pullImage(lab.engine, `oci:${lab.dir}/layout-one:one`);
    await store.tag(imageId, 'localhost/other:1');
    const { untagged, deleted } = await removeImage(lab.engine, imageId.slice(0, 10), { force: true });
    assert.deepEqual([untagged.sort(), deleted], [['localhost/one:latest', 'localhost/other:1'], [imageId]]);
  });

  test('images: names, ids and sizes; a filter; a template', async () => {
    await using lab = new Lab();
    const { imageId, digest } = await pullImage(lab.engine, layoutOf(lab, 'app', variant('app')));
    await pullImage(lab.engine, layoutOf(lab, 'web', variant('web')));
    const { stdout } = await lab.tare('images', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}', 'app');
    assert.equal(stdout, `localhost/app:latest ${imageId.slice(0, 12)}\n`);
    assert.match(
      (await lab.tare('images', '--digests', '--no-trunc')).stdout,
      new RegExp(`localhost/app +latest +${digest} +sha256:${imageId}`),
    );
    const [first] = await listImages(lab.engine);
    assert.ok((first?.sizeBytes ?? 0) > 1_000_000);
  });

  test('diff, exit codes, and what --rm leaves: nothing', async () => {
    await using lab = new Lab();
    await pullImage(lab.engine, layoutOf(lab, 'app', variant('app')));
    const changed = await lab.tare(
      'run',
      '--name',
      'changed',
      'app',
      'sh',
      '-c',
      'echo x >/new; echo y >>/etc/group; rm /mark',
    );
    assert.equal(changed.code, 0, changed.stderr);
    assert.equal((await lab.tare('diff', 'changed')).stdout, 'C /etc\nC /etc/group\nD /mark\nA /new\n');
    assert.equal(
      (await lab.tare('start', '-a', 'changed')).code,
      1,
      'rm of what is gone: the layer is kept between starts',
    );
    await lab.tare('rm', 'changed');
    for (const [argv, code] of [
      [['nope'], 127],
      [['/etc/group'], 126],
      [['sh', '-c', 'exit 9'], 9],
      [['sh', '-c', '(exec sh -c "kill -9 \\$\\$"); exit $?'], 137],
    ] as const)
      assert.equal((await lab.tare('run', '--rm', 'app', ...argv)).code, code, argv.join(' '));
    assert.deepEqual(await containerTraces(lab), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('run: 20 at once leave a store that podman lists and runs', { skip: canPodman }, async () => {
    await using lab = new Lab();
    await pullImage(lab.engine, layoutOf(lab, 'app', variant('app')));
    await using tare = await open(lab.options);
    const outputs = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const box = await tare.run('app', ['sh', '-c', `echo ${index} >/mark; sync; cat /mark`]);
        const output = await text(box.stdout);
        await box.wait();
        return output;
      }),
    );
    assert.deepEqual(
      outputs,
      Array.from({ length: 20 }, (_, index) => `${index}\n`),
    );
    assert.deepEqual(await containerTraces(lab), []);
    assert.deepEqual(await lab.leftovers(), []);
    assert.equal(podmanRun(lab, 'localhost/app', 'cat', '/mark'), 'app');
    assert.deepEqual(JSON.parse(peer(lab, 'podman', 'ps', '-a', '--external', '--format', 'json')), []);
    assert.equal((JSON.parse(peer(lab, 'podman', 'images', '--format', 'json')) as unknown[]).length, 1);
  });

  test('run: given up during the pull leaves neither image nor container', async () => {
    await using lab = new Lab();
    const abort = new AbortController();
    const start = runContainer(
      lab.engine,
      { source: layoutOf(lab, 'app', variant('app')), argv: [] },
      { detach: false, signal: abort.signal, onProgress: () => abort.abort() },
    );
    await assert.rejects(start, (error) => isKind(error, 'cancelled'));
    assert.deepEqual(await listImages(lab.engine), []);
    assert.deepEqual(await containerTraces(lab), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('run: Debian from a registry', { skip: noDebian() }, async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    registry.push((await debianImage()).source, 'debian:12', { format: 'v2s2' });
    await using tare = await open(lab.options);
    await using box = await tare.run(`${registry.domain}/debian:12`, [
      'sh',
      '-c',
      'cat /etc/debian_version; dpkg --verify dpkg; stat -c %a /usr/bin/su',
    ]);
    assert.match(await text(box.stdout), /^12\.\d+\n4755\n$/);
    assert.equal((await box.wait()).code, 0);
  });
});
