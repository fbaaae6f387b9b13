/**
 * A store of three at once: Tare, Debian stable's podman, and the podman of Debian testing (5.x), which records volatile layers apart and reads `lower-layers`. The newer one is in the
 * root that `tools/node tools/peers.ts setup` makes.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pullImage } from '../../src/engine/mod.ts';
import { defaultPeersRoot, insidePeers } from '../../tools/peers.ts';
import { canRun, Lab } from '../engine/lab.ts';
import { canPodman, peer, podmanRun } from '../image/peer.ts';
import { busyboxImage, noBusybox } from '../support/images.ts';
import { noRegistry, startRegistry } from '../support/registry.ts';

const skip =
  canRun ||
  canPodman ||
  noBusybox() ||
  noRegistry() ||
  (existsSync(join(defaultPeersRoot, '.old')) ? false : 'cannot here: no peers root (tools/node tools/peers.ts setup)');

/** The newer podman on the lab's store. Fails the test when it fails. */
function newer(lab: Lab, ...args: string[]): string {
  const { storageRoot, storageRunRoot } = lab.options;
  const globals = ['--root', storageRoot, '--runroot', storageRunRoot, '--storage-driver', 'overlay'];
  const own = ['--tmpdir', join(lab.dir, 'podman5'), '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'];
  const env = ['env', '-u', 'CONTAINERS_CONF', 'PODMAN_IGNORE_CGROUPSV1_WARNING=1', 'podman'];
  const [program = '', ...argv] = insidePeers(defaultPeersRoot, lab.dir, [
    ...env,
    ...globals,
    ...own,
    '--runtime',
    'runc',
    ...args,
  ]);
  const result = spawnSync(program, argv, { encoding: 'utf8', timeout: 90_000, killSignal: 'SIGKILL' });
  assert.equal(result.status, 0, `podman 5 ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

/** The newer podman notes its network program in the store, which the older one would take for its own: it is told what it has. */
function older(lab: Lab): void {
  const conf = join(lab.dir, 'containers.conf');
  writeFileSync(conf, "[network]\nnetwork_backend = 'cni'\n");
  process.env['CONTAINERS_CONF'] = conf;
}

const run = ['run', '--rm', '--network', 'none', '--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096'];

describe('tare, podman 4 and podman 5 on one store', { skip, concurrency: 1, timeout: 600_000 }, () => {
  test('podman 5 lists, checks, runs, commits and removes what tare pulled', async () => {
    await using lab = new Lab();
    older(lab);
    await using registry = await startRegistry();
    registry.push((await busyboxImage()).source, 'box:1');
    const name = `${registry.domain}/box:1`;
    const pulled = await pullImage(lab.engine, name);
    assert.match(newer(lab, '--version'), /version [5-9]\./);
    const [seen] = JSON.parse(newer(lab, 'image', 'inspect', name)) as { Id: string; Digest: string }[];
    assert.deepEqual([seen?.Id, seen?.Digest], [pulled.imageId, pulled.digest]);
    assert.equal(newer(lab, 'system', 'check', '--quick=false'), '', 'nothing to complain of');
    const cgroup = ['--cgroup-parent', lab.cgroupParent];
    assert.equal(newer(lab, ...run, ...cgroup, name, 'sh', '-c', 'echo $FROM_IMAGE'), 'yes\n');
    newer(lab, 'run', '--name', 'changed', '--network', 'none', ...run.slice(4), ...cgroup, name, 'touch', '/new');
    newer(lab, 'commit', '-q', 'changed', 'localhost/committed:1');
    newer(lab, 'rm', 'changed');
    // What one commits, the others run.
    const list = ['sh', '-c', 'ls /new'];
    assert.equal((await lab.tare('run', '--rm', '--pull', 'never', 'committed:1', ...list)).stdout, '/new\n');
    assert.equal(podmanRun(lab, 'localhost/committed:1', ...list), '/new\n');
    newer(lab, 'rmi', 'localhost/committed:1');
    assert.equal((await lab.tare('run', '--rm', '--pull', 'never', name, 'true')).code, 0);
    newer(lab, 'rmi', name);
    assert.deepEqual((await lab.anotherEngine().store()).layers(), []);
  });

  test('both refuse to remove an image under a running tare container, and see the container', async () => {
    await using lab = new Lab();
    older(lab);
    await pullImage(lab.engine, (await busyboxImage()).source);
    const name = 'localhost/busybox:latest';
    for (const flags of [
      ['--name', 'kept'],
      ['--rm', '--name', 'fleeting'],
    ]) {
      const started = await lab.tare('run', '-d', ...flags, name, 'sleep', '1000');
      assert.equal(started.code, 0, started.stderr);
      const id = started.stdout.trim();
      for (const podman of [newer, (l: Lab, ...args: string[]) => peer(l, 'podman', ...args)]) {
        assert.throws(() => podman(lab, 'rmi', name), /in use|used by/);
        assert.match(podman(lab, 'ps', '-a', '--external', '--no-trunc', '--format', '{{.ID}}'), new RegExp(id));
        // Podman 4 does not know the layer of a --rm container: it takes the record away, and nothing else.
        if (podman === newer || flags[0] !== '--rm') assert.throws(() => podman(lab, 'rm', id), /is mounted/);
        else podman(lab, 'rm', id);
      }
      assert.equal((await lab.tare('exec', flags.at(-1) ?? '', 'sh', '-c', 'echo 1 >/new && ls /bin')).code, 0);
      await lab.tare('rm', '-f', '-t', '0', flags.at(-1) ?? '');
      const store = await lab.anotherEngine().store();
      assert.deepEqual([store.layers().length, store.containers()], [1, []]);
    }
    newer(lab, 'rmi', name);
  });

  test('tare runs and removes what podman 5 pulled and committed', async () => {
    await using lab = new Lab();
    older(lab);
    await using registry = await startRegistry();
    registry.push((await busyboxImage()).source, 'box:1');
    const name = `${registry.domain}/box:1`;
    newer(lab, 'pull', '-q', '--tls-verify=false', name);
    const made = await lab.tare('run', '--rm', '--pull', 'never', name, 'sh', '-c', 'echo $FROM_IMAGE');
    assert.equal(made.stdout, 'yes\n', made.stderr);
    assert.equal((await lab.tare('rmi', name)).code, 0);
    assert.equal(newer(lab, 'images', '-q'), '');
    assert.equal(peer(lab, 'podman', 'images', '-q'), '');
  });
});
