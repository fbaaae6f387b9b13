/** What commit and import made is podman's, too: listed, run, compared, copied and removed; and what podman made of the same container is the same. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describe, test } from 'node:test';
import {
  commitContainer,
  exportContainer,
  importImage,
  inspectImage,
  listImages,
  pullImage,
  pushImage,
  removeContainer,
} from '../../src/engine/mod.ts';
import { canRun, Lab } from '../engine/lab.ts';
import { canPodman, peer, podmanRun } from '../image/peer.ts';
import { busyboxImage, noBusybox } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { noRegistry, startRegistry } from '../support/registry.ts';

const skip = canRun || canPodman || noBusybox() || noRegistry() || needs.program('skopeo');

const changes = `rm /etc/group; echo x >/new; ln /new /hard; mkdir -p /home/deep; echo y >/home/deep/f; chown -R 1000:1000 /home/deep
  rm -r /usr/bin; mkdir /usr/bin; echo z >/usr/bin/z; chmod 4711 /usr/bin/z; mknod /pipe p; ln -s nowhere /link; chmod 700 /var`;
const look =
  'cd /; for f in etc/passwd new hard home/deep home/deep/f usr/bin usr/bin/z pipe link var; do stat -c "%N %f %u:%g" $f; done; cat new; ls usr/bin';

/** A lab with a container of the busybox image that changed its files. */
async function changed(): Promise<Lab> {
  const lab = new Lab();
  await pullImage(lab.engine, (await busyboxImage()).source);
  await lab.run(['sh', '-c', changes], { source: 'busybox', name: 'box', autoRemove: false });
  return lab;
}

describe('commit and import beside podman', { skip, concurrency: 1, timeout: 240_000 }, () => {
  for (const format of ['oci', 'docker'] as const) {
    test(`podman lists, runs, compares and removes what was committed (${format}); skopeo reads it`, async () => {
      await using lab = await changed();
      const { imageId } = await commitContainer(lab.engine, 'box', {
        name: 'mine:1',
        format,
        author: 'me',
        message: 'hello',
        changes: ['CMD ["cat","/new"]', 'ENV A=b', 'EXPOSE 80', 'LABEL l=m', 'USER 1000', 'WORKDIR /home'],
      });
      assert.match(peer(lab, 'podman', 'images', '--no-trunc'), new RegExp(`localhost/mine +1 +sha256:${imageId}`));
      const ours = await lab.sh(look, { source: 'mine:1' });
      assert.equal(podmanRun(lab, 'mine:1', 'sh', '-c', look).trimEnd(), ours);
      assert.equal(podmanRun(lab, 'mine:1'), 'x\n');
      const [seen] = JSON.parse(peer(lab, 'podman', 'image', 'inspect', 'mine:1')) as {
        Id: string;
        Author: string;
        Comment: string;
        History: { comment?: string }[];
        User: string;
        Config: { Env: string[]; Cmd: string[]; WorkingDir: string; Labels: object; ExposedPorts: object };
        RootFS: { Layers: string[] };
        ManifestType: string;
      }[];
      const mine = (await inspectImage(lab.engine, 'mine:1')) as NonNullable<typeof seen>;
      assert.deepEqual(seen?.RootFS.Layers, mine.RootFS.Layers);
      assert.deepEqual(
        [
          seen?.Id,
          seen?.Author,
          seen?.History.at(-1)?.comment,
          seen?.User,
          seen?.Config.Cmd,
          seen?.Config.WorkingDir,
          seen?.Config.Labels,
        ],
        [imageId, 'me', 'hello', '1000', ['cat', '/new'], '/home', { l: 'm' }],
      );
      assert.deepEqual(
        [seen?.Config.Env, seen?.Config.ExposedPorts],
        [['PATH=/usr/bin:/bin', 'FROM_IMAGE=yes', 'A=b'], { '80/tcp': {} }],
      );
      assert.match(seen?.ManifestType ?? '', format === 'oci' ? /oci\.image/ : /docker\.distribution/);
      const diff = peer(lab, 'podman', 'diff', 'mine:1').trim().split('\n').sort();
      // Podman calls a directory that was made anew deleted.
      const expected = (await lab.tare('diff', 'box')).stdout
        .replace('C /usr/bin\n', 'D /usr/bin\n')
        .trim()
        .split('\n')
        .sort();
      assert.deepEqual(diff, expected, 'podman diff');
      const store = `containers-storage:[overlay@${lab.engine.storageRoot}+${lab.engine.storageRunRoot}]localhost/mine:1`;
      const inspected = JSON.parse(execFileSync('skopeo', ['inspect', store], { encoding: 'utf8' })) as {
        Layers: string[];
        Labels: object;
      };
      assert.deepEqual([inspected.Layers.length, inspected.Labels], [2, { l: 'm' }]);
      execFileSync('skopeo', ['copy', '-q', store, `oci:${lab.dir}/copied:x`]);
      const again = await pullImage(lab.engine, `oci:${lab.dir}/copied:x`);
      assert.deepEqual(
        ((await inspectImage(lab.engine, again.imageId)) as typeof mine).RootFS.Layers,
        mine.RootFS.Layers,
      );
      await removeContainer(lab.engine, 'box');
      peer(lab, 'podman', 'rmi', '-f', imageId, again.imageId);
      assert.deepEqual(
        (await listImages(lab.engine)).map(({ names }) => names),
        [['localhost/busybox:latest']],
      );
    });
  }

  test('the same layer, unpacked and packed again by podman, has the same diffID; a registry gets it and podman pulls it', async () => {
    await using lab = await changed();
    await using registry = await startRegistry();
    await commitContainer(lab.engine, 'box', { name: 'mine:1' });
    const name = `${registry.domain}/mine:1`;
    await pushImage(lab.engine, 'mine:1', `docker://${name}`, { tlsVerify: false });
    const before = (await inspectImage(lab.engine, 'mine:1')) as { Id: string; RootFS: object };
    await removeContainer(lab.engine, 'box');
    peer(lab, 'podman', 'rmi', '-f', 'mine:1');
    peer(lab, 'podman', 'pull', '-q', '--tls-verify=false', name);
    const after = (await inspectImage(lab.engine, name)) as typeof before;
    assert.deepEqual([after.Id, after.RootFS], [before.Id, before.RootFS]);
    assert.equal(await lab.sh('cat /hard', { source: name }), 'x');
    assert.equal(podmanRun(lab, name, 'sh', '-c', 'ls /etc/group 2>&1 | wc -l; cat /new'), '1\nx\n');
  });

  test('podman commits the container of an image of ours to the same files; both import what the other exports', async () => {
    await using lab = await changed();
    await commitContainer(lab.engine, 'box', { name: 'mine:1' });
    peer(lab, 'podman', 'create', '--name', 'theirs', '--network', 'none', 'mine:1', 'true');
    const tar = join(lab.dir, 'ours.tar');
    await pipeline(exportContainer(lab.engine, 'box'), createWriteStream(tar));
    assert.equal(spawnSync('tar', ['-tf', tar]).status, 0);
    peer(lab, 'podman', 'import', '-q', tar, 'from-ours');
    const theirs = join(lab.dir, 'theirs.tar');
    peer(lab, 'podman', 'export', '-o', theirs, 'theirs');
    await importImage(lab.engine, { input: theirs, name: 'from-theirs', changes: ['CMD ["cat","/new"]'] });
    const want = await lab.sh(look, { source: 'mine:1' });
    assert.equal(await lab.sh(look, { source: 'from-ours' }), want);
    assert.equal(await lab.sh(look, { source: 'from-theirs' }), want);
    assert.equal(podmanRun(lab, 'from-theirs'), 'x\n');
    assert.match(peer(lab, 'podman', 'images'), /localhost\/from-theirs/);
    peer(lab, 'podman', 'rm', 'theirs');
    await removeContainer(lab.engine, 'box');
    peer(lab, 'podman', 'rmi', '-a', '-f');
    const store = await lab.anotherEngine().store();
    assert.deepEqual([store.images(), store.layers()], [[], []]);
  });
});
