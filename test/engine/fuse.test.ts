/** Root's containers where the kernel refuses an overlay: the image store and Tare's own root are on one. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { EngineInfo } from '../../src/engine/mod.ts';
import { readMountinfo } from '../../src/sys/mountinfo.ts';
import { fuseDaemons, LOOK, mountOverlayOn, SEEN, writeLayeredImage } from '../support/fuse.ts';
import { needs } from '../support/needs.ts';
import { canRun, Lab, read, rootless, until } from './lab.ts';

const skip =
  canRun || needs.program('fuse-overlayfs') || (rootless !== undefined && 'cannot here: root mounts an overlay for it');

class FuseLab extends Lab {
  constructor(places: readonly ('storageRoot' | 'root')[] = ['storageRoot', 'root']) {
    super();
    for (const place of places) mountOverlayOn(this.options[place], join(this.dir, `parts-${place}`));
  }

  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(...args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  pull(): Promise<string> {
    return this.ok('pull', '-q', writeLayeredImage(join(this.dir, 'layout')));
  }

  get flag(): string {
    return readFileSync(join(this.options.storageRoot, 'overlay/.has-mount-program'), 'utf8');
  }

  daemons(): number[] {
    return fuseDaemons(this.dir);
  }

  /** All that a container may leave behind. */
  async nothingLeft(): Promise<void> {
    assert.equal(await this.ok('ps', '-aq'), '');
    await until(() => this.daemons().length === 0, 5000, 'the daemons are gone');
    assert.deepEqual(
      readMountinfo().filter(({ fsType, mountPoint }) => fsType.startsWith('fuse') && mountPoint.startsWith(this.dir)),
      [],
    );
    const layers = readdirSync(join(this.options.storageRoot, 'overlay')).filter((name) => name.length === 64);
    assert.equal(layers.length, 2, 'those of the image');
    assert.match(read(join(this.options.storageRunRoot, 'overlay-layers/mountpoints.json')), /^(|null|\[\])$/);
  }
}

describe('fuse-overlayfs for root', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('an image, its life: run, diff, cp, stop, start, restart, commit, export, rm', async () => {
    await using lab = new FuseLab();
    const id = await lab.pull();
    assert.equal(lab.flag, 'true');
    assert.equal(await lab.ok('run', '--rm', id, 'sh', '-c', LOOK), SEEN);
    await lab.nothingLeft();

    const script =
      'rm -r /home /d/new; mkdir /home; touch /home/n /d/x; mv /e /g; echo hi >/f/file; cat /proc/self/mountinfo | head -n 1; sleep 1000';
    await lab.ok('run', '-d', '--name', 'c', id, 'sh', '-c', script);
    let log = '';
    for (let tries = 0; log === '' && tries < 100; tries++) log = await lab.ok('logs', 'c');
    assert.match(log, / - fuse\.fuse-overlayfs /);
    const [daemon, ...others] = lab.daemons();
    assert.deepEqual(others, []);
    assert.match(
      readFileSync(`/proc/${daemon}/cgroup`, 'utf8'),
      /(tare-monitors|name=systemd:.*\/tare-test-[^/\n]*)$/m,
    );
    const changed = [
      'C /d',
      'D /d/new',
      'A /d/x',
      'D /e',
      'C /f',
      'A /f/file',
      'A /g',
      'A /g/new',
      'C /home',
      'A /home/n',
      'D /home/u',
    ].join('\n');
    // Of one that runs: what it wrote is there.
    assert.equal(await lab.ok('diff', 'c'), changed);
    await lab.ok('commit', '-q', 'c', 'from-running');
    assert.equal(await lab.ok('run', '--rm', 'from-running', 'cat', '/f/file'), 'hi');
    writeFileSync(join(lab.dir, 'in'), 'copied');
    await lab.ok('cp', join(lab.dir, 'in'), 'c:/d/in');
    assert.equal(await lab.ok('exec', 'c', 'cat', '/d/in'), 'copied');
    await lab.ok('stop', '-t', '0', 'c');
    await until(() => lab.daemons().length === 0, 5000, 'the daemon is gone');

    await lab.ok('cp', join(lab.dir, 'in'), 'c:/d/again');
    await lab.ok('cp', 'c:/d/again', join(lab.dir, 'out'));
    assert.equal(readFileSync(join(lab.dir, 'out'), 'utf8'), 'copied');
    await lab.ok('commit', '-q', 'c', 'of-stopped');
    const seen = 'ls /d /f /g /home; ls -d /e /home/u 2>&1; true';
    const expected =
      '/d:\nagain\nin\nx\n\n/f:\nfile\n\n/g:\nnew\n\n/home:\nn\nls: /e: No such file or directory\nls: /home/u: No such file or directory';
    assert.equal(await lab.ok('run', '--rm', 'of-stopped', 'sh', '-c', seen), expected);
    await lab.ok('export', '-o', join(lab.dir, 'tar'), 'c');
    await lab.ok('import', '-q', join(lab.dir, 'tar'), 'flat');
    assert.equal(await lab.ok('run', '--rm', 'flat', '/bin/sh', '-c', seen), expected);
    await lab.ok('start', 'c');
    await lab.ok('restart', '-t', '0', 'c');
    assert.equal(await lab.ok('exec', 'c', 'cat', '/d/again'), 'copied');
    await lab.ok('stop', '-t', '0', 'c');
    await lab.ok('init', 'c');
    assert.equal(lab.daemons().length, 1);
    await lab.ok('start', 'c');
    assert.equal(await lab.ok('exec', 'c', 'cat', '/d/again'), 'copied');
    await lab.ok('rm', '-f', 'c');
    await lab.ok('rmi', '-f', 'from-running', 'of-stopped', 'flat');
    await lab.nothingLeft();
  });

  test('the daemon is killed: calls in the container fail; it can be stopped, started again and removed', async () => {
    await using lab = new FuseLab();
    const id = await lab.pull();
    // The shell reads no more of its program from the file system.
    await lab.ok(
      'run',
      '-d',
      '--name',
      'c',
      id,
      'sh',
      '-c',
      'echo kept >/kept; while true; do read -r line </d/new; test -n "$line" || exit 7; sleep 0.05; done',
    );
    await until(() => lab.daemons().length === 1, 5000, 'it runs');
    for (let tries = 0; (await lab.tare('exec', 'c', 'cat', '/kept')).code !== 0; tries++) assert.ok(tries < 50);
    process.kill(lab.daemons()[0] ?? assert.fail(), 'SIGKILL');
    await until(() => lab.daemons().length === 0, 5000, 'it is gone');
    const failed = await lab.tare('exec', 'c', 'cat', '/d/new');
    assert.notEqual(failed.code, 0);
    await lab.ok('stop', '-t', '0', 'c');
    await lab.ok('start', 'c');
    assert.equal(await lab.ok('exec', 'c', 'cat', '/kept'), 'kept');
    process.kill(lab.daemons()[0] ?? assert.fail(), 'SIGKILL');
    await lab.ok('rm', '-f', '-t', '0', 'c');
    await lab.nothingLeft();
  });

  test('killed at any moment of a start, nothing is left but what the next command sees', async () => {
    await using lab = new FuseLab();
    const id = await lab.pull();
    for (let round = 0; round < 10; round++) {
      const child = lab.startTare(['run', '--rm', '--name', `c${round}`, id, 'true']);
      await new Promise((resolve) => setTimeout(resolve, 60 + round * 12));
      child.kill('SIGKILL');
      await until(() => child.exitCode !== null || child.signalCode !== null, 5000, 'it has ended');
    }
    await until(() => lab.daemons().length === 0, 10_000, 'the daemons are gone');
    const left = (await lab.ok('ps', '-aq')).split('\n').filter((line) => line !== '');
    if (left.length > 0) await lab.ok('rm', '-f', ...left);
    await lab.nothingLeft();
  });

  test('a store that was moved there: many find out at once, and it stays so', async () => {
    await using lab = new FuseLab();
    const id = await lab.pull();
    writeFileSync(join(lab.options.storageRoot, 'overlay/.has-mount-program'), 'false');
    const seen = await Promise.all(Array.from({ length: 5 }, () => lab.ok('run', '--rm', id, 'sh', '-c', LOOK)));
    assert.deepEqual(new Set(seen), new Set([SEEN]));
    assert.equal(lab.flag, 'true');
    await lab.nothingLeft();
  });

  test('a restart policy starts it again in the same mount', async () => {
    await using lab = new FuseLab();
    const id = await lab.pull();
    const script = 'cat /kept 2>/dev/null; echo x >>/kept; exit 3';
    await lab.ok('run', '-d', '--name', 'c', '--restart', 'on-failure:2', id, 'sh', '-c', script);
    await lab.ok('wait', 'c');
    await until(() => lab.daemons().length === 0, 5000, 'the daemon is gone');
    assert.equal(await lab.ok('logs', 'c'), 'x\nx\nx');
    await lab.ok('rm', 'c');
    await lab.nothingLeft();
  });

  test('rootfs:DIR:O is mounted the same way from then on; host: says what to do', async () => {
    await using lab = new FuseLab(['root']);
    await lab.ok('create', '--name', 'c', lab.source, 'sh', '-c', 'rm -r /data; mkdir /data; touch /data/new');
    await lab.ok('start', '-a', 'c');
    assert.equal(await lab.ok('diff', 'c'), 'C /data\nD /data/below\nA /data/new\nD /data/one\nD /data/two');
    const [name = ''] = readdirSync(lab.engine.containersDir).filter((entry) => entry !== '.creating');
    assert.match(readFileSync(lab.at(name, 'layers.json'), 'utf8'), /"fuse":true/);
    await lab.ok('rm', 'c');
    const host = await lab.tare('run', '--rm', `host:${lab.rootfs}`, 'true');
    assert.equal(host.code, 125);
    assert.match(
      host.stderr,
      /choose another --root; fuse-overlayfs is used for images and rootfs:DIR:O, not for host:\)/,
    );
    await until(() => lab.daemons().length === 0, 5000, 'the daemons are gone');
  });

  test('a store that says so is never mounted by the kernel, also where that could; tare info names it', async () => {
    await using lab = new FuseLab([]);
    const id = await lab.pull();
    assert.equal(lab.flag, 'false');
    const info = async (): Promise<EngineInfo> => JSON.parse(await lab.ok('info', '--format', 'json')) as EngineInfo;
    assert.deepEqual((await info()).store.graphOptions, {});
    await lab.ok(
      'create',
      '--name',
      'before',
      id,
      'sh',
      '-c',
      'rm -r /d; mkdir /d; ls /d; head -n 1 /proc/self/mountinfo',
    );
    assert.match(await lab.ok('start', '-a', 'before'), / - overlay /);
    writeFileSync(join(lab.options.storageRoot, 'overlay/.has-mount-program'), 'true');
    // What the kernel's overlayfs wrote, fuse-overlayfs reads.
    assert.match(await lab.ok('start', '-a', 'before'), /^\S+ \S+ \S+ \S+ \S+ \S+ - fuse\.fuse-overlayfs/);
    assert.equal(await lab.ok('run', '--rm', id, 'sh', '-c', LOOK), SEEN);
    await lab.ok('rm', 'before');
    await lab.ok('rmi', id);
    await lab.pull();
    assert.equal(await lab.ok('run', '--rm', id, 'sh', '-c', LOOK), SEEN);
    const { store } = await info();
    assert.deepEqual(store.graphOptions, { 'overlay.mount_program': { Executable: '/usr/bin/fuse-overlayfs' } });
    await lab.nothingLeft();
  });

  test('--userns auto copies the files, and says why', async () => {
    await using lab = new FuseLab();
    const id = await lab.pull();
    const script = 'stat -c %u:%g /home/u; touch /home/x; stat -c %u /home/x';
    const { code, stdout, stderr } = await lab.tare(
      'run',
      '--rm',
      '--uidmap',
      '0:500000:2000',
      '--gidmap',
      '0:500000:2000',
      id,
      'sh',
      '-c',
      script,
    );
    assert.deepEqual([code, stdout], [0, '1000:50\n0\n'], stderr);
    assert.match(
      stderr,
      /every file of the image was copied.*\(.*fuse-overlayfs, which mounts the layers of this store, shows them as they are\)/,
    );
    await lab.nothingLeft();
  });

  test('without the program, the error says what to install; nothing is left', async () => {
    await using lab = new FuseLab(['root']);
    const [program = '', ...self] = lab.options.self;
    const { spawnSync } = await import('node:child_process');
    mkdirSync(join(lab.dir, 'bin'));
    const empty = { ...process.env, PATH: join(lab.dir, 'bin') };
    const { status, stderr } = spawnSync(program, [...self, 'run', '--rm', lab.source, 'true'], {
      env: empty,
      encoding: 'utf8',
    });
    assert.equal(status, 125);
    assert.match(
      stderr,
      /choose another --root, or install fuse-overlayfs \(Debian: apt-get install fuse-overlayfs\)\)/,
    );
    rmSync(join(lab.dir, 'bin'), { recursive: true });
    assert.equal(await lab.ok('ps', '-aq'), '');
  });
});
