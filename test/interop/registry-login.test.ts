/** `tare login` beside podman's and skopeo's: each uses what the other wrote, and nothing is kept that a registry did not accept. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { RegistryClient } from '../../src/registry/mod.ts';
import { parseRepositoryPath, parseTag } from '../../src/spec/mod.ts';
import { onTerminal } from '../cli/pty.ts';
import { launcher, type Outcome } from '../cli/tare.ts';
import { buildImage } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { noRegistry, startRegistry, testUser, type TestRegistry } from '../support/registry.ts';
import { tarOf } from '../support/tar.ts';

const skip = noRegistry() || needs.program('podman', 'python3');

/** A user of their own: home, run-time folder, image store, registries.conf. */
class Home implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'tare-login-'));
  readonly authFile = join(this.dir, 'run/containers/auth.json');
  readonly env: Record<string, string> = {
    PATH: `${join(this.dir, 'bin')}${delimiter}${process.env['PATH'] ?? ''}`,
    HOME: this.dir,
    XDG_RUNTIME_DIR: join(this.dir, 'run'),
    TARE_ROOT: join(this.dir, 'tare'),
    TARE_RUNROOT: join(this.dir, 'tare-run'),
    TARE_STORAGE_ROOT: join(this.dir, 'storage'),
    TARE_STORAGE_RUNROOT: join(this.dir, 'storage-run'),
  };

  constructor() {
    for (const name of ['bin', 'run']) mkdirSync(join(this.dir, name), { mode: 0o700 });
  }

  /** Not synchronous: the token server is in this process. */
  async run(program: string, args: readonly string[], input = ''): Promise<Outcome> {
    const child = spawn(program, args, { env: this.env, timeout: 60_000, killSignal: 'SIGKILL' });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const code = new Promise<number | null>((resolve) => child.on('exit', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await code, stdout, stderr };
  }

  tare(args: readonly string[], input = ''): Promise<Outcome> {
    return this.run(launcher, args, input);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const loginArgs = (registry: string): string[] => [
  'login',
  '--username',
  testUser.username,
  '--password-stdin',
  registry,
];

describe('tare login and logout', { skip, timeout: 240_000 }, () => {
  let started: Promise<TestRegistry> | undefined;
  const start = (): Promise<TestRegistry> => (started ??= startRegistry({ login: 'token' }));
  after(async () => (await started)?.[Symbol.asyncDispose]());

  const pushImage = async (): Promise<{ registry: TestRegistry; name: string }> => {
    const registry = await start();
    const image = buildImage({ layers: [tarOf([{ name: 'file', content: 'content' }])] });
    const path = parseRepositoryPath('team/app');
    using client = new RegistryClient(registry.domain, { credentials: testUser });
    for (const { bytes, descriptor } of [image.config, ...image.layers]) {
      await client.putBlob(path, { digest: descriptor.digest, sizeBytes: descriptor.size }, async function* (offset) {
        yield bytes.subarray(offset);
      });
    }
    const { bytes, descriptor } = image.manifest;
    await client.putManifest(path, parseTag('one'), { bytes, mediaType: descriptor.mediaType });
    return { registry, name: `${registry.domain}/team/app:one` };
  };

  test('what tare wrote serves tare, podman and skopeo; only its owner can read it', async () => {
    const { registry, name } = await pushImage();
    using home = new Home();
    assert.match((await home.tare(['pull', '-q', name])).stderr, /wants a login/);
    const outcome = await home.tare(loginArgs(registry.domain), `${testUser.password}\n`);
    assert.deepEqual(outcome, { code: 0, stdout: 'Login Succeeded!\n', stderr: '' });
    assert.equal(statSync(home.authFile).mode & 0o777, 0o600);
    assert.equal((await home.tare(['login', '--get-login', registry.domain])).stdout, 'ann\n');
    assert.match((await home.tare(['pull', '-q', name])).stdout, /^[0-9a-f]{64}\n$/);
    assert.equal((await home.run('podman', ['login', '--get-login', registry.domain])).stdout, 'ann\n');
    const inspected = await home.run('skopeo', ['inspect', '--tls-verify=false', `docker://${name}`]);
    assert.equal(inspected.code, 0, inspected.stderr);
    const again = await home.tare(['login', registry.domain]);
    assert.deepEqual(
      [again.code, again.stdout],
      [
        0,
        `Authenticating with existing credentials for ${registry.domain}\nExisting credentials are valid. Already logged in to ${registry.domain}\n`,
      ],
    );
    assert.deepEqual(await home.tare(['logout', registry.domain]), {
      code: 0,
      stdout: `Removed login credentials for ${registry.domain}\n`,
      stderr: '',
    });
    assert.notEqual((await home.run('podman', ['login', '--get-login', registry.domain])).code, 0);
    const twice = await home.tare(['logout', registry.domain]);
    assert.equal(twice.code, 1);
    assert.match(twice.stderr, /not logged in/);
  });

  test('what podman wrote serves tare, and tare leaves the rest of the file alone', async () => {
    const { registry, name } = await pushImage();
    using home = new Home();
    const args = ['login', '--tls-verify=false', '-u', testUser.username, '--password-stdin', registry.domain];
    const outcome = await home.run('podman', args, testUser.password);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal((await home.tare(['pull', '-q', name])).code, 0);
    const document = JSON.parse(readFileSync(home.authFile, 'utf8')) as { auths: Record<string, unknown> };
    const other = { auth: Buffer.from('bob:b').toString('base64'), email: 'bob@example' };
    document.auths['other.example'] = other;
    writeFileSync(home.authFile, JSON.stringify({ ...document, unknown: { kept: [1] } }));
    assert.equal((await home.tare(['logout', registry.domain])).code, 0);
    assert.deepEqual(JSON.parse(readFileSync(home.authFile, 'utf8')), {
      auths: { 'other.example': other },
      unknown: { kept: [1] },
    });
    assert.equal((await home.tare(['login', '--get-login', 'other.example'])).stdout, 'bob\n');
    assert.equal((await home.tare(['logout', '--all'])).stdout, 'Removed login credentials for all registries\n');
    assert.deepEqual(JSON.parse(readFileSync(home.authFile, 'utf8')), { auths: {}, unknown: { kept: [1] } });
  });

  test('a password that the registry refuses is not kept', async () => {
    const registry = await start();
    using home = new Home();
    const outcome = await home.tare(loginArgs(registry.domain), 'wrong\n');
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /^Error: Cannot sign in to .*does not accept the user name and password/);
    assert.ok(!outcome.stderr.includes('wrong'));
    assert.equal(existsSync(home.authFile), false);
  });

  test('credentials of docker login are used, and logout leaves them', async () => {
    const { registry, name } = await pushImage();
    using home = new Home();
    mkdirSync(join(home.dir, '.docker'));
    const auth = Buffer.from(`${testUser.username}:${testUser.password}`).toString('base64');
    const file = join(home.dir, '.docker/config.json');
    writeFileSync(file, JSON.stringify({ auths: { [`${registry.domain}/team`]: { auth } } }));
    assert.equal((await home.tare(['pull', '-q', name])).code, 0);
    assert.match((await home.tare(['logout', `${registry.domain}/team`])).stderr, /file of another tool/);
    assert.ok(existsSync(file));
    // Named, it is ours to change.
    assert.equal((await home.tare(['logout', '--authfile', file, `${registry.domain}/team`])).code, 0);
  });

  test('a credential helper keeps, gives and forgets; the password is in no argument and no file of ours', async () => {
    const { registry, name } = await pushImage();
    using home = new Home();
    const kept = join(home.dir, 'kept');
    const log = join(home.dir, 'log');
    const helper = join(home.dir, 'bin/docker-credential-box');
    writeFileSync(
      helper,
      `#!/bin/sh
echo "$@" >>${log}
case $1 in
store) cat >${kept} ;;
get) read -r server; test -e ${kept} && cat ${kept} || { echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f ${kept} ;;
esac
`,
    );
    chmodSync(helper, 0o755);
    mkdirSync(join(home.dir, 'run/containers'));
    writeFileSync(home.authFile, JSON.stringify({ credHelpers: { [registry.domain]: 'box' } }));
    assert.equal((await home.tare(loginArgs(registry.domain), testUser.password)).stdout, 'Login Succeeded!\n');
    assert.deepEqual(JSON.parse(readFileSync(kept, 'utf8')), {
      ServerURL: registry.domain,
      Username: testUser.username,
      Secret: testUser.password,
    });
    assert.equal((await home.tare(['pull', '-q', name])).code, 0);
    assert.equal((await home.run('podman', ['login', '--get-login', registry.domain])).stdout, 'ann\n');
    assert.equal((await home.tare(['logout', registry.domain])).code, 0);
    assert.equal(existsSync(kept), false);
    assert.ok(!readFileSync(log, 'utf8').includes(testUser.password));
    assert.ok(!readFileSync(home.authFile, 'utf8').includes('auth"'));
    assert.match((await home.tare(['pull', '-q', name])).stderr, /wants a login/);
  });

  test('on a terminal it asks, without showing the password, and puts the terminal back', async () => {
    const registry = await start();
    using home = new Home();
    const { password } = testUser;
    const outcome = await onTerminal(
      [launcher, 'login', registry.domain],
      [
        ['expect', 'Username: '],
        ['send', 'anm\x7fn\r'],
        ['expect', 'Password: '],
        ['send', `x\x15${password}\r`],
        ['expect', 'Login Succeeded!'],
      ],
      { env: home.env },
    );
    assert.equal(outcome.failed, null, outcome.output);
    assert.deepEqual([outcome.code, outcome.restored], [0, true]);
    assert.ok(!outcome.output.includes(password));
    const stopped = await onTerminal(
      [launcher, 'login', 'localhost:1'],
      [
        ['expect', 'Username: '],
        ['send', '\x03'],
      ],
      { env: home.env },
    );
    assert.deepEqual([stopped.code, stopped.restored], [130, true]);
    const piped = await home.tare(['login', 'localhost:1']);
    assert.deepEqual([piped.code, piped.stderr.includes('--password-stdin')], [125, true]);
  });

  test('a registry with an authority of its own is trusted by --cert-dir, or not at all with --tls-verify=false', async () => {
    await using registry = await startRegistry({ tls: true, login: 'htpasswd' });
    using home = new Home();
    assert.match((await home.tare(loginArgs(registry.domain), testUser.password)).stderr, /certificate is not trusted/);
    for (const flag of ['--tls-verify=false', `--cert-dir=${join(home.dir, 'certs')}`]) {
      mkdirSync(join(home.dir, 'certs'), { recursive: true });
      writeFileSync(join(home.dir, 'certs/ca.crt'), registry.ca ?? '');
      const [verb = '', ...rest] = loginArgs(registry.domain);
      const outcome = await home.tare([verb, flag, ...rest], testUser.password);
      assert.deepEqual([outcome.code, outcome.stdout], [0, 'Login Succeeded!\n'], outcome.stderr);
    }
  });
});
