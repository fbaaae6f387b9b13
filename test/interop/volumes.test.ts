/** Volumes beside podman's: each engine has its own, also of one name; what both do with an image's volume is the same; an image that is mounted is podman's to leave alone. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { canRun } from '../engine/lab.ts';
import { look, seen, VolumeLab } from '../engine/volume-lab.ts';
import { canPodman, peer, peerLine } from '../image/peer.ts';

const skip = canRun || canPodman;

function podmanRun(lab: VolumeLab, ...args: string[]): string {
  const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096', '--cgroup-parent', lab.cgroupParent];
  return peer(lab, 'podman', 'run', '--rm', '--network', 'none', ...limits, ...args).trimEnd();
}

/** Podman leaves its conmon's cgroup to its own next start. */
async function leftovers(lab: VolumeLab): Promise<string[]> {
  return (await lab.leftovers(500)).filter((found) => !/^cgroup .*\/conmon$/.test(found));
}

describe('volumes beside podman', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('a volume of one name in both engines is two; neither touches the other', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    assert.equal(peer(lab, 'podman', 'volume', 'create', 'data').trim(), 'data');
    assert.deepEqual(await lab.volumes(), []);
    assert.equal(podmanRun(lab, '-v', 'data:/data', 'v', 'sh', '-c', look), seen, 'podman fills it');
    assert.equal(
      await lab.ok('run', '--rm', '-v', 'data:/data', 'v', 'sh', '-c', `${look}; echo ours >/data/ours`),
      seen,
      'so do we',
    );
    podmanRun(lab, '-v', 'data:/data', 'v', 'sh', '-c', 'test ! -e /data/ours && echo theirs >/data/theirs');
    assert.equal(await lab.ok('run', '--rm', '-v', 'data:/data', 'v', 'ls', '/data'), 'file\nours\nout\nsub\nup');
    await lab.ok('volume', 'prune', '-af');
    assert.equal(podmanRun(lab, '-v', 'data:/data', 'v', 'cat', '/data/theirs'), 'theirs');
    await lab.ok('volume', 'create', 'mine');
    peer(lab, 'podman', 'volume', 'prune', '-f');
    assert.deepEqual(await lab.volumes(), ['mine']);
    await lab.ok('volume', 'rm', 'mine');
    assert.deepEqual(await leftovers(lab), []);
  });

  test('inspect says the same of mounts, in the same words', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    const template =
      '{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.Driver}} {{.RW}} {{.Propagation}};{{end}}';
    const args = ['create', '--name', 'c', '-v', 'n:/data', '-v', '/usr:/usr2:ro', 'v', 'true'];
    peer(lab, 'podman', ...args);
    const theirs = peer(lab, 'podman', 'inspect', '--format', template, 'c').trim();
    peer(lab, 'podman', 'rm', 'c');
    await lab.ok(...args);
    const sorted = (text: string): string[] =>
      text
        .split(';')
        .map((line) => line.replaceAll(/ +/g, ' '))
        .sort();
    const ours = await lab.ok('inspect', '--format', template, 'c');
    assert.deepEqual(sorted(ours), sorted(theirs));
    await lab.ok('rm', 'c');
    await lab.ok('volume', 'rm', 'n');
    assert.deepEqual(await leftovers(lab), []);
  });

  test('an image that a container of ours has mounted: podman lists, and does not remove it', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    await lab.pull('other', {}, [{ name: 'only', content: 'other' }]);
    await lab.ok(
      'create',
      '--name',
      'c',
      '--mount',
      'type=image,src=other,dst=/i',
      '--mount',
      'type=image,src=v,dst=/j,rw',
      'v',
      'cat',
      '/i/only',
    );
    assert.match(peer(lab, 'podman', 'ps', '-a', '--external'), /tare-[0-9a-f]{12}-image-1/);
    const [program = '', ...args] = peerLine(lab, 'podman', 'rmi', 'other');
    const refused = spawnSync(program, args, { encoding: 'utf8', cwd: lab.dir, timeout: 60_000 });
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /in use|used by/);
    assert.equal(await lab.ok('start', '-a', 'c'), 'other');
    await lab.ok('rm', '-v', 'c');
    peer(lab, 'podman', 'rmi', 'other');
    assert.ok(!existsSync(lab.engine.volumesDir) || (await lab.volumes()).length === 0);
    assert.deepEqual(await leftovers(lab), []);
  });
});
