import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { nodeFlags } from '../../tools/node-flags.ts';
import { nodeDir } from '../../tools/_package-node.ts';
import { readManifest } from '../../tools/_package-manifest.ts';
import { needs } from '../support/needs.ts';
import { pack, root, version } from './lab.ts';
import { listPacked } from './registry.ts';

const skip =
  (process.arch === 'arm64' ? 'cannot here: this machine is arm64' : false) ||
  needs.program('qemu-aarch64-static', 'aarch64-linux-gnu-gcc');

/** The package for arm64 on another machine: each program by itself under qemu's user emulation, which passes on execve to a kernel that cannot. */
describe('@tare/linux-arm64 under qemu-user', { skip }, () => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare-arm64-')));
  const home = join(dir, 'node_modules/@tare/linux-arm64');
  let node: string;

  before(async () => {
    const archive = await pack(join(dir, 'packages'), '--arch', 'arm64');
    for (const { path, mode, content } of listPacked(readFileSync(archive('tare-linux-arm64-')))) {
      mkdirSync(dirname(join(home, path)), { recursive: true });
      writeFileSync(join(home, path), content, { mode });
    }
    node = join(nodeDir(root, readManifest(root), 'arm64'), 'bin/node');
  });
  after(() => rmSync(dir, { recursive: true }));

  const emulated = (argv: readonly string[], env: Record<string, string> = {}) =>
    spawnSync('qemu-aarch64-static', ['-L', '/usr/aarch64-linux-gnu', ...argv], {
      encoding: 'utf8',
      timeout: 120_000,
      env: { PATH: '/usr/bin:/bin', ...env },
    });
  const tare = (...args: string[]) => {
    const places = ['root', 'runroot', 'storage-root', 'storage-runroot'].map((name) => `--${name}=${join(dir, name)}`);
    return emulated([node, ...nodeFlags, join(home, 'dist/bin/main.cjs'), ...places, ...args]);
  };

  it('the helper refuses to be called by hand', () => {
    const { status, stderr } = emulated([join(home, 'build/tare-helper'), 'version']);
    assert.deepEqual([status, stderr], [125, 'tare-helper: started by tare only (docs/reference/plan.md)\n']);
  });

  it('the launcher finds the Node for arm64, and cleans its environment', () => {
    const missing = emulated([join(home, 'bin/tare')]);
    assert.equal(missing.status, 125);
    assert.match(missing.stderr, /@tare\/node-linux-arm64 belongs beside/);
    const fake = join(dir, 'node_modules/@tare/node-linux-arm64/bin/node');
    mkdirSync(dirname(fake), { recursive: true });
    writeFileSync(fake, '#!/bin/sh\necho "$@"\nenv\n');
    chmodSync(fake, 0o755);
    const { status, stdout } = emulated([join(home, 'bin/tare'), 'version', 'a b'], {
      NODE_OPTIONS: '--require=/evil.js',
    });
    assert.equal(status, 0);
    assert.equal(
      stdout.split('\n')[0],
      [...nodeFlags, '--', join(home, 'dist/bin/main.cjs'), 'version', 'a b'].join(' '),
    );
    assert.match(stdout, /^TARE_HIDDEN_NODE_OPTIONS=/m);
  });

  it('the addon is loaded by the real Node, and its calls are those of arm64', () => {
    const script = `const m = { exports: {} };
process.dlopen(m, ${JSON.stringify(join(home, 'build/tare.node'))});
const { fcntl, memfdCreate, errnoText, ftruncate, statx, mkdirat, readlinkat } = m.exports;
const fd = memfdCreate('x', 1);
ftruncate(fd, 4321);
const into = Buffer.alloc(256);
statx(fd, '', 0x1000, 0x7ff, into);
const target = readlinkat(-100, '/proc/self/cwd', Buffer.alloc(99)), exists = mkdirat(-100, '/', 0o755);
console.log(JSON.stringify([process.arch, fcntl(fd, 1034, 0), Number(into.readBigUInt64LE(40)), target > 0, exists, errnoText(2), errnoText(117), errnoText(9999) ?? null]));`;
    const { stdout, stderr } = emulated([node, '-e', script]);
    assert.deepEqual(
      JSON.parse(stdout || 'null'),
      ['arm64', 1, 4321, true, -17, 'ENOENT No such file or directory', 'EUCLEAN Structure needs cleaning', null],
      stderr,
    );
  });

  it('the command line starts: version, ps, images, a refusal', () => {
    const told = tare('version', '--format', 'json');
    assert.equal(told.status, 0, told.stderr);
    assert.match(told.stdout, new RegExp(`"${version.replaceAll('.', '\\.')}"`));
    assert.match(told.stdout, /linux\/arm64/);
    assert.match(tare('ps').stdout, /^CONTAINER ID/);
    assert.match(tare('images').stdout, /^REPOSITORY/);
    const refused = tare('run', '--no-such-flag', 'host:');
    assert.equal(refused.status, 125);
    assert.match(refused.stderr, /--no-such-flag/);
    assert.ok(existsSync(join(dir, 'storage-root')));
  });
});
