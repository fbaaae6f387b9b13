import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import { test } from 'node:test';
import { isAlive, launcher, until } from '../engine/lab.ts';
import { canBeUser, UserLab } from './lab.ts';

const skip = canBeUser;

/** What systemd does at login and logout. */
async function login(lab: UserLab): Promise<void> {
  mkdirSync(`/run/user/${lab.uid}`, { recursive: true });
  const options = `mode=700,uid=${lab.uid},gid=${lab.uid}`;
  const { code, stderr } = await lab.exec(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', `/run/user/${lab.uid}`], {
    root: true,
  });
  assert.equal(code, 0, stderr);
}

async function logout(lab: UserLab): Promise<void> {
  const run = `/run/user/${lab.uid}`;
  const { code, stderr } = await lab.exec(['sh', '-c', `rm -rf ${run}/* && umount -l ${run}`], { root: true });
  assert.equal(code, 0, stderr);
}

class Session implements AsyncDisposable {
  readonly lab: UserLab;
  constructor(lab: UserLab) {
    this.lab = lab;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    rmdirSync(`/run/user/${this.lab.uid}`);
  }
}

test(
  'a logout removes the run directory: the holder leaves, containers keep running, are listed, and can be stopped',
  { skip },
  async () => {
    const lab = new UserLab({ runtimeDir: undefined });
    await using _session = new Session(lab);
    await login(lab);
    const script = 'trap "exit 3" TERM; while :; do sleep 0.1; done';
    await lab.ok('run', '-d', '--name', 'kept', lab.source, 'sh', '-c', script);
    await lab.ok('run', '-d', '--rm', '--name', 'own', lab.source, 'sleep', '1000');
    await lab.ok('run', '-d', '--name', 'killed', lab.source, 'sleep', '1000');
    const namespace = await lab.ok('unshare', 'readlink', '/proc/self/ns/user');
    const [holder = 0] = lab.holders();
    await logout(lab);
    await until(() => !isAlive(holder), 20_000, 'the holder has left');
    await login(lab);
    // One that removes itself is on the disk as the others are, where a logout takes the run directory along.
    assert.equal(await lab.ok('ps', '--format', '{{.Names}}'), 'killed\nown\nkept');
    assert.equal(await lab.ok('unshare', 'readlink', '/proc/self/ns/user'), namespace);
    const exec = await lab.tare('exec', 'kept', 'true');
    assert.equal(exec.code, 125);
    assert.match(
      exec.stderr,
      /^Error: Cannot exec in container kept: the run directory .* stop it and start it again\n$/,
    );
    assert.equal(await lab.ok('stop', 'kept'), 'kept');
    assert.match(await lab.ok('ps', '-a', '--filter', 'name=kept', '--format', '{{.Status}}'), /^Exited \(3\)/);
    await lab.ok('kill', 'killed');
    await until(() => lab.processes().filter(({ command }) => command === 'sleep 1000').length === 1, 20_000, 'killed');
    await lab.ok('rm', '-f', 'own');
    assert.deepEqual(
      lab.processes().filter(({ command }) => command.startsWith('tare: monitor own')),
      [],
    );
    await lab.ok('start', 'kept');
    assert.equal(await lab.ok('exec', 'kept', 'echo', 'again'), 'again');
    await lab.ok('rm', '-f', 'kept', 'killed');
    assert.deepEqual(readdirSync(lab.at('tare/scratch')), []);
  },
);

test(
  'without XDG_RUNTIME_DIR: /run/user/UID where it is, one namespace with those who have it set',
  { skip },
  async () => {
    const lab = new UserLab({ runtimeDir: undefined });
    await using _session = new Session(lab);
    await login(lab);
    const without = await lab.ok('unshare', 'readlink', '/proc/self/ns/user');
    const { stdout } = await lab.exec([launcher, 'unshare', 'readlink', '/proc/self/ns/user'], {
      env: { XDG_RUNTIME_DIR: `/run/user/${lab.uid}` },
    });
    assert.equal(stdout.trim(), without);
    assert.equal(await lab.ok('info', '--format', '{{.store.runRoot}}'), `/run/user/${lab.uid}/tare`);
    await logout(lab);
  },
);
