/** Containers of an unprivileged user whose home is on a file system on which the kernel refuses overlays. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineInfo } from '../../src/engine/mod.ts';
import { fuseDaemons, LOOK, overlayOn, SEEN, writeLayeredImage } from '../support/fuse.ts';
import { needs } from '../support/needs.ts';
import { until } from '../engine/lab.ts';
import { canBeUser, give, kill, UserLab, type UserOptions } from './lab.ts';

const skip =
  canBeUser ||
  needs.program('fuse-overlayfs') ||
  (!existsSync('/dev/fuse') && 'cannot here: this machine has no /dev/fuse');

class FuseUser extends UserLab {
  constructor(options: UserOptions = { fuse: true }) {
    super({
      ...options,
      prepare: (lab) => [
        ...(options.prepare?.(lab) ?? []),
        ...overlayOn(join(lab.home, '.local'), join(lab.dir, 'parts')),
        ['chown', `${lab.uid}:${lab.uid}`, join(lab.home, '.local')],
      ],
    });
  }

  async pull(): Promise<string> {
    const source = writeLayeredImage(join(this.home, 'layout'));
    give(this, join(this.home, 'layout'));
    return await this.ok('pull', '-q', source);
  }

  async info(): Promise<EngineInfo> {
    return JSON.parse(await this.ok('info', '--format', 'json')) as EngineInfo;
  }

  daemons(): number[] {
    return fuseDaemons(this.home);
  }

  /** But the overlay that the home is on. */
  async nothingLeft(): Promise<void> {
    const left = async (): Promise<string[]> =>
      (await this.leftovers(0)).filter((line) => !line.includes(` ${join(this.home, '.local')} `));
    for (let tries = 0; (await left()).length > 0 && tries < 500; tries++) await sleep(10);
    assert.deepEqual(await left(), []);
  }
}

describe('fuse-overlayfs for users', { skip, concurrency: 1, timeout: 240_000 }, () => {
  test('an image, its life: run, diff, cp, stop, start, restart, commit, rm', async () => {
    await using user = new FuseUser();
    const id = await user.pull();
    assert.equal(await user.ok('run', '--rm', id, 'sh', '-c', LOOK), SEEN);
    const info = await user.info();
    assert.deepEqual(info.store.graphOptions, { 'overlay.mount_program': { Executable: '/usr/bin/fuse-overlayfs' } });
    assert.deepEqual(
      info.missing.filter(({ what }) => what.includes('fuse')),
      [],
    );
    const script = 'rm -r /home /d/new; mkdir /home; touch /home/n; mv /e /g; id -u; sleep 1000';
    await user.ok('run', '-d', '--name', 'c', '-u', '0', id, 'sh', '-c', script);
    for (let tries = 0; (await user.ok('logs', 'c')) !== '0'; tries++) assert.ok(tries < 100);
    assert.equal(user.daemons().length, 1);
    const changed = 'C /d\nD /d/new\nD /e\nA /g\nA /g/new\nC /home\nA /home/n\nD /home/u';
    assert.equal(await user.ok('diff', 'c'), changed);
    await user.ok('cp', join(user.home, 'layout/oci-layout'), 'c:/d/in');
    assert.match(await user.ok('exec', 'c', 'cat', '/d/in'), /imageLayoutVersion/);
    await user.ok('stop', '-t', '0', 'c');
    await user.ok('cp', 'c:/d/in', join(user.home, 'out'));
    assert.match(readFileSync(join(user.home, 'out'), 'utf8'), /imageLayoutVersion/);
    await user.ok('commit', '-q', 'c', 'made');
    const seen = await user.ok('run', '--rm', 'made', 'sh', '-c', 'ls /d /home; ls -d /e 2>&1; true');
    assert.equal(seen, '/d:\nin\n\n/home:\nn\nls: /e: No such file or directory');
    await user.ok('start', 'c');
    await user.ok('restart', '-t', '0', 'c');
    await user.ok('rm', '-f', 'c');
    await user.ok('rmi', '-f', 'made');
    await user.nothingLeft();
  });

  test('other ids, another user namespace, and a copy of the files for it', async () => {
    await using user = new FuseUser();
    const id = await user.pull();
    assert.equal(await user.ok('run', '--rm', '-u', '1000:50', id, 'cat', '/home/u'), 'u');
    assert.equal((await user.tare('run', '--rm', '-u', '1001', id, 'cat', '/home/u')).code, 1);
    const script = 'id -u; stat -c %u /bin/busybox; touch /tmp-file';
    const inside = await user.ok('run', '--rm', '--userns', 'keep-id', '-u', '0', id, 'sh', '-c', script);
    assert.equal(inside, '0\n0');
    await user.ok('run', '-d', '--name', 'c', '--userns', 'auto', id, 'sleep', '1000');
    assert.equal(await user.ok('exec', 'c', 'stat', '-c', '%u:%g', '/home/u'), '1000:50');
    await user.ok('rm', '-f', '-t', '0', 'c');
    await user.nothingLeft();
  });

  test('whoever is killed: the daemon, the monitor; nothing is left', async () => {
    await using user = new FuseUser();
    const id = await user.pull();
    await user.ok('run', '-d', '--name', 'c', id, 'sleep', '1000');
    for (const pid of user.daemons()) kill(pid);
    await until(() => user.daemons().length === 0, 5000, 'it is gone');
    assert.notEqual((await user.tare('exec', 'c', 'cat', '/d/new')).code, 0);
    await user.ok('stop', '-t', '0', 'c');
    await user.ok('start', 'c');
    assert.equal(await user.ok('exec', 'c', 'cat', '/d/new'), 'new');
    for (const { pid, command } of user.processes()) if (command.includes('monitor')) kill(pid);
    await until(() => user.daemons().length === 0, 10_000, 'the daemon goes with the container');
    await user.ok('rm', '-f', 'c');
    await user.nothingLeft();
  });

  test('rootfs:DIR:O, and a /dev/fuse that is not for users: the error says what to do', async () => {
    {
      await using user = new FuseUser();
      assert.equal(await user.ok('run', '--rm', user.source, 'sh', '-c', 'touch /x; ls /x'), '/x');
      await user.nothingLeft();
    }
    await using user = new FuseUser({
      prepare: (lab) => [
        ['mknod', '-m', '600', join(lab.dir, 'closed'), 'c', '10', '229'],
        ['mount', '--bind', join(lab.dir, 'closed'), '/dev/fuse'],
      ],
    });
    const { code, stderr } = await user.tare('run', '--rm', user.source, 'true');
    assert.equal(code, 125);
    assert.match(
      stderr,
      /^Error: Cannot use fuse-overlayfs: \/dev\/fuse may not be opened; as root: chmod 0666 \/dev\/fuse/,
    );
    await user.nothingLeft();
  });
});
