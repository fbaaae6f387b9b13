import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';

const launcher = join(import.meta.dirname, '../../bin/tare');
const nodePackage = `node-linux-${process.arch}`;

/** An installed package at `root` whose "Node" prints its arguments and environment. */
function install(root: string, nodeModules?: string): void {
  mkdirSync(join(root, 'bin'), { recursive: true });
  copyFileSync(launcher, join(root, 'bin/tare'));
  if (nodeModules === undefined) return;
  const node = join(nodeModules, nodePackage, 'bin/node');
  mkdirSync(dirname(node), { recursive: true });
  writeFileSync(node, '#!/bin/sh\nfor a in "$@"; do echo "arg $a"; done\nenv\n');
  chmodSync(node, 0o755);
}

describe('launcher', { skip: existsSync(launcher) ? false : 'needs bin/tare' }, () => {
  const within = (body: (dir: string) => void) => () => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare-launcher-')));
    try {
      body(dir);
    } finally {
      rmSync(dir, { recursive: true });
    }
  };
  const run = (path: string, args: string[] = [], env: Record<string, string> = {}) =>
    spawnSync(path, args, { encoding: 'utf8', env: { PATH: '/usr/bin:/bin', ...env } });

  it(
    'finds Node in its own node_modules and in each node_modules it lies in; passes arguments on',
    within((dir) => {
      for (const [root, modules] of [
        ['checkout', 'checkout/node_modules'],
        ['a/node_modules/@tare/x', 'a/node_modules/@tare/x/node_modules/@tare'],
        ['b/node_modules/@tare/x', 'b/node_modules/@tare'],
        ['c/node_modules/other/node_modules/@tare/x', 'c/node_modules/@tare'],
        ['d/node_modules/.pnpm/x@1/node_modules/@tare/x', 'd/node_modules/.pnpm/x@1/node_modules/@tare'],
      ] as const) {
        install(join(dir, root), join(dir, modules));
        const { stdout, stderr, status } = run(join(dir, root, 'bin/tare'), ['run', '--rm', 'a b', '']);
        assert.equal(status, 0, stderr);
        const args = stdout
          .split('\n')
          .filter((line) => line.startsWith('arg '))
          .map((line) => line.slice(4));
        assert.deepEqual(args.slice(-6), ['--', join(dir, root, 'dist/bin/main.cjs'), 'run', '--rm', 'a b', '']);
      }
    }),
  );

  it(
    'hides from Node what it would take for its own in the arguments: they are a container’s',
    within((dir) => {
      const config = join(dir, 'node.config.json');
      writeFileSync(config, JSON.stringify({ nodeOptions: { import: '/nowhere.mjs' } }));
      writeFileSync(join(dir, 'env'), 'NODE_OPTIONS=--import=/nowhere.mjs\n');
      const flags = [
        ...['--env-file', '--env-file-if-exists'].flatMap((flag) => [`${flag}=${dir}/env`, `${flag}=/nowhere`]),
        ...[`--experimental-config-file=${config}`, '--experimental-config-file=/nowhere'],
        ...['--experimental-default-config-file', '--experimental-config-file'],
        ...['--inspect', '--version', '\u0001--version', '-e'],
      ];
      for (const flag of flags) {
        const { stderr, status } = spawnSync(launcher, ['rm', '--', flag], { encoding: 'utf8', cwd: dir });
        assert.deepEqual([stderr, status], [`Error: Cannot find container ${flag}: no such container\n`, 1]);
      }
    }),
  );

  it(
    'runs no Node that lies where it does not belong',
    within((dir) => {
      for (const [root, modules] of [
        // Another package's dependency, of whatever version; and a folder further up that anybody may have made.
        ['a/node_modules/@tare/x', 'a/node_modules'],
        ['b/x', 'b/node_modules/@tare'],
        ['b/not_node_modules/x', 'b/not_node_modules/@tare'],
      ] as const) {
        install(join(dir, root), join(dir, modules));
        assert.equal(run(join(dir, root, 'bin/tare')).status, 125, root);
      }
    }),
  );

  it(
    'works through symlinks, and says the name it was called by unless that is tare',
    within((dir) => {
      install(join(dir, 'own'), join(dir, 'own/node_modules'));
      symlinkSync('own/bin/tare', join(dir, 'docker'));
      symlinkSync('docker', join(dir, 'tare'));
      assert.match(run(join(dir, 'docker')).stdout, /^TARE_ARGV0=docker$/m);
      assert.ok(!run(join(dir, 'tare'), [], { TARE_ARGV0: 'forged' }).stdout.includes('TARE_ARGV0'));
      // What the shell script of the package says.
      const { stdout } = run(join(dir, 'tare'), [], { TARE_CALLED_AS: 'podman' });
      assert.match(stdout, /^TARE_ARGV0=podman$/m);
      assert.doesNotMatch(stdout, /TARE_CALLED_AS/);
    }),
  );

  it(
    'keeps what would inject code from Node, under another name',
    within((dir) => {
      install(join(dir, 'own'), join(dir, 'own/node_modules'));
      const { stdout } = run(join(dir, 'own/bin/tare'), [], {
        NODE_OPTIONS: '--require=/evil.js',
        NODE_PATH: '/evil',
        LD_PRELOAD: '',
        HOME: '/h',
        TARE_HIDDEN_X: '1',
      });
      assert.match(stdout, /^TARE_HIDDEN_NODE_OPTIONS=--require=\/evil\.js$/m);
      assert.match(stdout, /^TARE_HIDDEN_NODE_PATH=\/evil$/m);
      assert.doesNotMatch(stdout, /^(NODE_|LD_PRELOAD|TARE_HIDDEN_X)/m);
      assert.match(stdout, /^HOME=\/h$/m);
    }),
  );

  it(
    'without Node: exit 125 and what to do',
    within((dir) => {
      install(join(dir, 'own'));
      const { status, stderr } = run(join(dir, 'own/bin/tare'));
      assert.equal(status, 125);
      assert.equal(
        stderr,
        `tare: Cannot start: its Node is missing; in a checkout run \`npm ci\`, otherwise install the package again: @tare/${nodePackage} belongs beside ${dir}/own\n`,
      );
    }),
  );
});
