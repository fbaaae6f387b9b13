/** One store with podman where layers are mounted with fuse-overlayfs: as storage.conf says, and where the kernel refuses overlays. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineInfo } from '../../src/engine/mod.ts';
import { canRun, Lab } from '../engine/lab.ts';
import { canPodman, peer, podmanRun } from '../image/peer.ts';
import { canBeUser, give, UserLab, type UserOptions } from '../rootless/lab.ts';
import { fuseDaemons, LOOK, overlayOn, SEEN, writeLayeredImage } from '../support/fuse.ts';
import { needs } from '../support/needs.ts';

const skip =
  canBeUser ||
  needs.program('podman', 'crun', 'fuse-overlayfs') ||
  (!existsSync('/dev/fuse') && 'cannot here: this machine has no /dev/fuse');

/** A user whose podman keeps its store as tare does. */
class PodmanUser extends UserLab {
  readonly image: string;

  constructor(storage: string, options: UserOptions = {}) {
    super({ fuse: true, ...options });
    const config = join(this.home, '.config/containers');
    mkdirSync(config, { recursive: true });
    writeFileSync(join(config, 'storage.conf'), `[storage]\ndriver = "overlay"\n${storage}`);
    writeFileSync(join(config, 'containers.conf'), '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n');
    writeFileSync(join(config, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
    this.image = writeLayeredImage(join(this.home, 'layout'), 'opaque');
    give(this, join(this.home, '.config'));
    give(this, join(this.home, 'layout'));
  }

  /** What podman printed. Errors: when it failed. */
  async podman(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.exec(['podman', ...args]);
    if (code !== 0) throw new Error(`podman ${args.join(' ')}: ${code}: ${stderr}`);
    return stdout.trimEnd();
  }

  async flag(): Promise<string> {
    const path = this.at('containers/storage/overlay/.has-mount-program');
    return (await this.exec(['cat', path], { root: true })).stdout;
  }

  async daemonsEnd(): Promise<void> {
    for (let tries = 0; fuseDaemons(this.home).length > 0 && tries < 500; tries++) await sleep(10);
    assert.deepEqual(fuseDaemons(this.home), []);
  }
}

const byConf = '[storage.options.overlay]\nmount_program = "/usr/bin/fuse-overlayfs"\n';
const onOverlay = (lab: UserLab): string[][] => [
  ...overlayOn(join(lab.home, '.local'), join(lab.dir, 'parts')),
  ['chown', `${lab.uid}:${lab.uid}`, join(lab.home, '.local')],
];

for (const [name, make] of [
  ['mount_program in storage.conf', () => new PodmanUser(byConf)],
  ['a kernel that refuses', () => new PodmanUser('', { prepare: onOverlay })],
] as const) {
  describe(`tare and podman with fuse-overlayfs: ${name}`, { skip, concurrency: 1, timeout: 240_000 }, () => {
    test('tare pulls, podman runs and commits; then tare runs that', async () => {
      await using user = make();
      const id = await user.ok('pull', '-q', user.image);
      assert.equal(await user.flag(), 'true');
      assert.equal(await user.podman('images', '-q', '--no-trunc'), `sha256:${id}`);
      assert.equal(await user.podman('run', '--rm', '--network', 'none', id, 'sh', '-c', LOOK), SEEN);
      assert.equal(await user.ok('run', '--rm', id, 'sh', '-c', LOOK), SEEN);
      // Not a directory in the place of another: podman's commit itself loses that.
      const script = 'rm -r /d/new /home/u; touch /d/theirs; mv /e /g';
      await user.podman('run', '--name', 'theirs', '--network', 'none', id, 'sh', '-c', script);
      const made = await user.podman('commit', '-q', 'theirs', 'made');
      const seen = 'ls /d /g /home; ls -d /e 2>&1; true';
      const expected = '/d:\ntheirs\n\n/g:\nnew\n\n/home:\nls: /e: No such file or directory';
      assert.equal(await user.ok('run', '--rm', made, 'sh', '-c', seen), expected);
      assert.equal(await user.podman('run', '--rm', '--network', 'none', made, 'sh', '-c', seen), expected);
      await user.podman('rm', 'theirs');
      await user.podman('rmi', made, id);
      assert.equal(await user.ok('images', '-q'), '');
      await user.daemonsEnd();
    });

    test('podman pulls, tare runs, changes and commits; then podman runs that, and both push it', async () => {
      await using user = make();
      const id = await user.podman('pull', '-q', 'oci:layout:t');
      assert.equal(await user.ok('images', '-q', '--no-trunc'), `sha256:${id}`);
      assert.equal(await user.ok('run', '--rm', id, 'sh', '-c', LOOK), SEEN);
      const info = JSON.parse(await user.ok('info', '--format', 'json')) as EngineInfo;
      assert.deepEqual(info.store.graphOptions, { 'overlay.mount_program': { Executable: '/usr/bin/fuse-overlayfs' } });
      const script = 'rm -r /d /home/u; mkdir /d; touch /d/ours; mv /e /g; sleep 1000';
      await user.ok('run', '-d', '--name', 'ours', id, 'sh', '-c', script);
      for (let tries = 0; (await user.tare('exec', 'ours', 'ls', '/g/new')).code !== 0; tries++) assert.ok(tries < 100);
      await assert.rejects(user.podman('rmi', id), /in use|used by/);
      const made = (await user.ok('commit', '-q', 'ours', 'made')).replace('sha256:', '');
      const seen = 'ls /d /g /home; ls -d /e 2>&1; true';
      const expected = '/d:\nours\n\n/g:\nnew\n\n/home:\nls: /e: No such file or directory';
      assert.equal(await user.podman('run', '--rm', '--network', 'none', made, 'sh', '-c', seen), expected);
      await user.ok('rm', '-f', '-t', '0', 'ours');
      for (const [program, out] of [
        ['podman', 'theirs'],
        ['tare', 'ours'],
      ] as const) {
        if (program === 'podman') await user.podman('push', '-q', made, `dir:${join(user.home, out)}`);
        else await user.ok('push', '-q', made, `dir:${join(user.home, out)}`);
      }
      const config = (out: string): boolean => existsSync(join(user.home, out, made));
      assert.deepEqual([config('theirs'), config('ours')], [true, true]);
      await user.podman('rmi', '-f', made, id);
      assert.equal(await user.ok('images', '-q'), '');
      await user.daemonsEnd();
    });
  });
}

describe(
  'root’s podman with fuse-overlayfs',
  { skip: skip || canPodman || canRun, concurrency: 1, timeout: 240_000 },
  () => {
    test('what it pulls tare runs, and the other way round; the store stays one for fuse-overlayfs', async () => {
      await using lab = new Lab();
      const ok = async (...args: string[]): Promise<string> => {
        const { code, stdout, stderr } = await lab.tare(...args);
        assert.equal(code, 0, stderr);
        return stdout.trimEnd();
      };
      const source = writeLayeredImage(join(lab.dir, 'layout'), 'opaque');
      const option = ['--storage-opt', 'overlay.mount_program=/usr/bin/fuse-overlayfs'];
      const id = peer(lab, 'podman', ...option, 'pull', '-q', 'oci:layout:t').trim();
      assert.equal(await ok('run', '--rm', id, 'sh', '-c', LOOK), SEEN);
      await ok('run', '--name', 'ours', id, 'sh', '-c', 'rm -r /d /home/u; mkdir /d; touch /d/ours');
      const made = (await ok('commit', '-q', 'ours', 'made')).replace('sha256:', '');
      // Podman knows by the store.
      assert.equal(podmanRun(lab, made, 'sh', '-c', 'ls /d /home'), '/d:\nours\n\n/home:\n');
      await ok('rm', 'ours');
      peer(lab, 'podman', 'rmi', '-f', made, id);
      assert.equal(await ok('pull', '-q', source), id);
      assert.equal(podmanRun(lab, id, 'sh', '-c', LOOK).trimEnd(), SEEN);
      for (let tries = 0; fuseDaemons(lab.dir).length > 0 && tries < 500; tries++) await sleep(10);
      assert.deepEqual(fuseDaemons(lab.dir), []);
    });
  },
);

describe('storage.conf and fuse-overlayfs', { skip, concurrency: 1, timeout: 60_000 }, () => {
  test('another mount_program, and force_mask, are refused by name', async () => {
    for (const [line, message] of [
      [
        'mount_program = "/usr/bin/bindfs"',
        /storage\.conf sets mount_program = \/usr\/bin\/bindfs; only fuse-overlayfs is supported/,
      ],
      ['force_mask = "shared"', /storage\.conf sets force_mask = shared, which is not supported/],
    ] as const) {
      await using user = new PodmanUser(`[storage.options.overlay]\n${line}\n`);
      const { code, stderr } = await user.tare('images');
      assert.notEqual(code, 0);
      assert.match(stderr, message);
    }
  });
});
