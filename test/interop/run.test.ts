/** One store, several engines: what podman or buildah pulls, imports and builds, tare runs; what tare pulls, podman runs. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { listImages, pullImage, removeImage } from '../../src/engine/mod.ts';
import { canRun, Lab } from '../engine/lab.ts';
import { canPodman, peer, podmanRun } from '../image/peer.ts';
import { busyboxImage, noBusybox } from '../support/images.ts';
import { noRegistry, startRegistry } from '../support/registry.ts';

const skip = canRun || canPodman || noBusybox() || noRegistry();

describe('tare and podman on one store', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('podman pulls, tare runs; podman sees the container that uses its image and refuses to remove it', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    registry.push((await busyboxImage()).source, 'box:1');
    const name = `${registry.domain}/box:1`;
    peer(lab, 'podman', 'pull', '-q', '--tls-verify=false', name);
    await registry.stop();
    const { code, stdout, stderr } = await lab.tare(
      'run',
      '--rm',
      '--pull',
      'never',
      name,
      'sh',
      '-c',
      'echo $FROM_IMAGE >/new && cat /new',
    );
    assert.deepEqual([code, stdout, stderr], [0, 'yes\n', '']);
    assert.equal((await lab.tare('run', '-d', '--name', 'user', name, 'sleep', '1000')).code, 0);
    assert.match(peer(lab, 'podman', 'ps', '-a', '--external'), /user/);
    assert.throws(() => peer(lab, 'podman', 'rmi', name), /in use|used by/);
    await lab.tare('rm', '-f', '-t', '0', 'user');
    // Podman 4 does not read the volatile records of later ones.
    assert.equal((await lab.tare('run', '-d', '--rm', '--name', 'fleeting', name, 'sleep', '1000')).code, 0);
    assert.throws(() => peer(lab, 'podman', 'rmi', name), /in use|used by/);
    const mounts = (): unknown[] =>
      JSON.parse(readFileSync(join(lab.engine.storageRunRoot, 'overlay-layers/mountpoints.json'), 'utf8')) as unknown[];
    assert.equal(mounts().length, 1, 'its root file system counts as mounted');
    await lab.tare('stop', '-t', '0', 'fleeting');
    await lab.tare('ps');
    assert.deepEqual(mounts(), []);
    assert.equal(podmanRun(lab, name, 'sh', '-c', 'cat /new 2>/dev/null || echo none'), 'none\n');
    peer(lab, 'podman', 'rmi', name);
    assert.deepEqual(await listImages(lab.engine), []);
  });

  test('tare pulls, podman runs, inspects and removes; digests and names are the same', async () => {
    await using lab = new Lab();
    await using registry = await startRegistry();
    registry.push((await busyboxImage()).source, 'box:1');
    const name = `${registry.domain}/box:1`;
    const pulled = await pullImage(lab.engine, name);
    await registry.stop();
    assert.equal(podmanRun(lab, name, 'sh', '-c', 'echo $FROM_IMAGE'), 'yes\n');
    const [seen] = JSON.parse(peer(lab, 'podman', 'image', 'inspect', name)) as {
      Id: string;
      Digest: string;
      NamesHistory: string[];
      RepoDigests: string[];
      Size: number;
    }[];
    assert.deepEqual([seen?.Id, seen?.Digest, seen?.NamesHistory], [pulled.imageId, pulled.digest, [name]]);
    const [ours] = JSON.parse((await lab.tare('inspect', '--type', 'image', name)).stdout) as {
      RepoDigests: string[];
      RepoTags: string[];
      NamesHistory: string[];
    }[];
    assert.deepEqual([ours?.RepoDigests, ours?.RepoTags, ours?.NamesHistory], [seen?.RepoDigests, [name], [name]]);
    peer(lab, 'podman', 'rmi', name);
    const store = await lab.anotherEngine().store();
    assert.deepEqual([store.images(), store.layers()], [[], []]);
  });

  test('podman imports a root file system, tare runs it', async () => {
    await using lab = new Lab();
    const tar = join(lab.dir, 'rootfs.tar');
    execFileSync('tar', ['-cf', tar, '-C', lab.rootfs, '.']);
    peer(
      lab,
      'podman',
      'import',
      '-q',
      '--change',
      'CMD ["cat","/data/below/three"]',
      '--change',
      'ENV PATH=/bin',
      tar,
      'imported:1',
    );
    const { stdout, stderr } = await lab.tare('run', '--rm', '--pull', 'never', 'imported:1');
    assert.equal(stdout, '3\n', stderr);
  });

  test('podman builds on an image that tare pulled, and tare runs what was built: deleted files, links, user, entrypoint', async () => {
    await using lab = new Lab();
    const { source } = await busyboxImage();
    const base = await pullImage(lab.engine, source);
    const context = join(lab.dir, 'context');
    mkdirSync(context);
    writeFileSync(join(context, 'hello'), 'hello\n');
    writeFileSync(
      join(context, 'Containerfile'),
      `FROM localhost/busybox:latest
COPY hello /etc/hello
RUN rm /etc/group && ln /etc/hello /etc/hard && mkdir /opt && chown 1000 /opt
USER user
WORKDIR /opt
ENTRYPOINT ["sh", "-c"]
CMD ["id -un; pwd; cat /etc/hard; ls /etc/group; touch /opt/mine && echo may"]
`,
    );
    // No network and the host's namespaces where a nested machine cannot have its own: the build is podman's matter.
    peer(
      lab,
      'podman',
      'build',
      '-q',
      '--pull=never',
      '--isolation',
      'chroot',
      '--network',
      'host',
      '-t',
      'built:1',
      context,
    );
    const { stdout, stderr } = await lab.tare('run', '--rm', '--pull', 'never', 'built:1');
    assert.equal(stdout, 'user\n/opt\nhello\nmay\n');
    assert.match(stderr, /\/etc\/group: No such file/);
    await removeImage(lab.engine, 'built:1');
    assert.ok((await listImages(lab.engine)).some(({ id }) => id === base.imageId));
  });

  test('buildah makes an image from scratch, tare runs it while buildah works on', async () => {
    await using lab = new Lab();
    copyFileSync('/bin/busybox', join(lab.dir, 'busybox'));
    const container = peer(lab, 'buildah', 'from', 'scratch').trim();
    peer(lab, 'buildah', 'copy', container, join(lab.dir, 'busybox'), '/bin/busybox');
    peer(lab, 'buildah', 'config', '--cmd', '["/bin/busybox","echo","from scratch"]', container);
    peer(lab, 'buildah', 'commit', '-q', container, 'localhost/scratch:1');
    const { stdout, stderr } = await lab.tare('run', '--rm', 'scratch:1');
    assert.equal(stdout, 'from scratch\n', stderr);
    peer(lab, 'buildah', 'rm', container);
    assert.equal((await lab.tare('run', '--rm', 'scratch:1')).stdout, 'from scratch\n');
  });
});
