/** One store of an unprivileged user: what rootless podman pulls, tare runs, and the other way round. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { launcher } from '../engine/lab.ts';
import { canBeUser, give, UserLab } from '../rootless/lab.ts';
import { busyboxEntries } from '../support/busybox.ts';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { tarOf } from '../support/tar.ts';

const skip = canBeUser || needs.program('podman', 'crun') || needs.kernel('5.13');

/** A user whose podman keeps its store as tare does. */
class PodmanUser extends UserLab {
  constructor() {
    super();
    const config = join(this.home, '.config/containers');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'storage.conf'), '[storage]\ndriver = "overlay"\n');
    writeFileSync(join(config, 'containers.conf'), '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n');
    writeFileSync(join(config, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
    give(this, join(this.home, '.config'));
    const base = tarOf([
      ...busyboxEntries('sh', 'cat', 'ls', 'stat', 'rm', 'mkdir', 'touch', 'sleep', 'true'),
      { name: 'home/', type: 'directory' },
      { name: 'home/u', content: 'u', uid: 1000, gid: 50, mode: 0o640 },
      { name: 'd/', type: 'directory' },
      { name: 'd/old', content: 'old' },
      { name: 'gone', content: 'x' },
    ]);
    const top = tarOf([
      { name: 'd/', type: 'directory' },
      { name: 'd/.wh..wh..opq', content: '' },
      { name: 'd/new', content: 'new' },
      { name: '.wh.gone', content: '' },
    ]);
    const image = buildImage({ layers: [base, top] });
    writeLayout(join(this.home, 'layout'), blobsOf(image), { t: image.manifest });
  }

  get image(): string {
    return `oci:${join(this.home, 'layout')}:t`;
  }

  /** What podman printed. Errors: when it failed. */
  async podman(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.exec(['podman', ...args]);
    if (code !== 0) throw new Error(`podman ${args.join(' ')}: ${code}: ${stderr}`);
    return stdout.trimEnd();
  }
}

const look =
  'stat -c %u:%g:%a /home/u; ls /d; ls /gone 2>&1 | wc -l; cat /home/new 2>/dev/null || echo none; touch /home/new';
const seen = '1000:50:640\nnew\n1\nnone';

describe('tare and rootless podman on one store', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('tare pulls, podman runs, and neither removes what the other uses', async () => {
    await using user = new PodmanUser();
    const id = await user.ok('pull', '-q', user.image);
    assert.equal(await user.podman('run', '--rm', '--network', 'none', id, 'sh', '-c', look), seen);
    await user.podman('run', '-d', '--name', 'theirs', '--network', 'none', id, 'sleep', '1000');
    const refused = await user.tare('rmi', id);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /container theirs uses it/);
    assert.equal(await user.ok('run', '--rm', id, 'sh', '-c', look), seen);
    await user.podman('rm', '-f', '-t', '0', 'theirs');
    await user.ok('rmi', '-f', id);
    assert.equal(await user.podman('images', '-q'), '');
  });

  test('podman pulls, tare runs, changes and pushes; podman refuses to remove what tare uses', async () => {
    await using user = new PodmanUser();
    const id = await user.podman('pull', '-q', 'oci:layout:t');
    assert.equal(await user.ok('run', '--rm', id, 'sh', '-c', look), seen);
    await user.ok('run', '-d', '--name', 'ours', id, 'sh', '-c', 'rm -r /d; mkdir /d; touch /d/x; sleep 1000');
    await assert.rejects(user.podman('rmi', id), /in use|used by/);
    assert.equal(await user.ok('exec', 'ours', 'ls', '/d'), 'x');
    await user.ok('push', '-q', id, `oci:${join(user.home, 'out')}:t`);
    await user.ok('rm', '-f', 'ours');
    await user.podman('rmi', id);
    assert.equal(await user.ok('images', '-q'), '');
  });

  test('the same ids, and tare in podman’s own namespace is the same user’s', async () => {
    await using user = new PodmanUser();
    const map = ['unshare', 'cat', '/proc/self/uid_map', '/proc/self/gid_map'] as const;
    assert.equal(await user.ok(...map), await user.podman(...map));
    const id = await user.ok('pull', '-q', user.image);
    assert.equal(await user.podman('unshare', launcher, 'images', '-q', '--no-trunc'), `sha256:${id}`);
    assert.equal(await user.podman('unshare', launcher, 'run', '--rm', id, 'cat', '/d/new'), 'new');
    const { code, stderr } = await user.exec(['podman', 'unshare', launcher, 'system', 'migrate']);
    assert.equal(code, 125);
    assert.match(stderr, /namespace of another program/);
  });

  test('both at once, many times: no image and no container is lost or left', async () => {
    await using user = new PodmanUser();
    const id = await user.ok('pull', '-q', user.image);
    const outputs = await Promise.all(
      Array.from({ length: 6 }, (_, index) =>
        index % 2 === 0
          ? user.ok('run', '--rm', id, 'cat', '/d/new')
          : user.podman('run', '--rm', '--network', 'none', id, 'cat', '/d/new'),
      ),
    );
    assert.deepEqual(
      outputs,
      outputs.map(() => 'new'),
    );
    assert.equal(await user.ok('ps', '-aq'), '');
    assert.equal(await user.podman('ps', '-aq', '--external'), '');
    assert.equal(await user.podman('images', '-q'), id.slice(0, 12));
  });
});
