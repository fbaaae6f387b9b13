import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
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

const script = join(import.meta.dirname, '../../native/launcher/tare.sh');

describe('tare.sh', () => {
  /** The package `tare` in a node_modules folder. */
  const installLibrary = (modules: string): string => {
    const path = join(modules, 'tare/bin/tare');
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(script, path);
    chmodSync(path, 0o755);
    return path;
  };
  /** A package of a machine, whose launcher tells where it is and what it was given. */
  const installNative = (modules: string, arch = 'x64'): void => {
    const path = join(modules, '@tare', `linux-${arch}`, 'bin/tare');
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(
      path,
      `#!/bin/sh\necho ${arch}; echo "called \${TARE_CALLED_AS-}"; for a in "$@"; do echo "arg $a"; done\n`,
    );
    chmodSync(path, 0o755);
  };
  const link = (to: string, path: string): string => {
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(to, path);
    return path;
  };
  const within = (body: (dir: string) => void) => () => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare launcher-')));
    try {
      body(dir);
    } finally {
      rmSync(dir, { recursive: true });
    }
  };
  /** With nothing in PATH. */
  const run = (path: string, args: readonly string[] = [], cwd = '/') =>
    spawnSync(path, args, { encoding: 'utf8', cwd, env: { PATH: '' } });
  const runs = (path: string, cwd?: string): void => {
    const { status, stdout, stderr } = run(path, ['a b', '', '*'], cwd);
    assert.deepEqual([status, stdout, stderr], [0, 'x64\ncalled \narg a b\narg \narg *\n', ''], path);
  };

  it(
    'finds the launcher beside it, in it and further up, as npm and pnpm lay packages out',
    within((dir) => {
      const hoisted = installLibrary(join(dir, 'a/node_modules'));
      installNative(join(dir, 'a/node_modules'));
      runs(hoisted);
      runs(link('../tare/bin/tare', join(dir, 'a/node_modules/.bin/tare')));
      runs('node_modules/.bin/tare', join(dir, 'a'));

      const nested = installLibrary(join(dir, 'b/node_modules'));
      installNative(join(dir, 'b/node_modules/tare/node_modules'));
      runs(nested);

      const dependency = installLibrary(join(dir, 'c/node_modules/other/node_modules'));
      installNative(join(dir, 'c/node_modules'));
      runs(dependency);

      installLibrary(join(dir, 'd/lib/node_modules'));
      installNative(join(dir, 'd/lib/node_modules/tare/node_modules'));
      runs(link('../lib/node_modules/tare/bin/tare', join(dir, 'd/bin/tare')));

      installLibrary(join(dir, 'e/node_modules/.pnpm/tare@1/node_modules'));
      installNative(join(dir, 'e/node_modules/.pnpm/@tare+linux@1/node_modules'));
      link(
        '../../../@tare+linux@1/node_modules/@tare/linux-x64',
        join(dir, 'e/node_modules/.pnpm/tare@1/node_modules/@tare/linux-x64'),
      );
      link('.pnpm/tare@1/node_modules/tare', join(dir, 'e/node_modules/tare'));
      runs(join(dir, 'e/node_modules/tare/bin/tare'));
    }),
  );

  it(
    'through symbolic links of others, by whatever name, which it passes on',
    within((dir) => {
      installLibrary(join(dir, 'node_modules'));
      installNative(join(dir, 'node_modules'));
      // What lies beside the link has nothing to do with it.
      mkdirSync(join(dir, 'elsewhere/lib/node_modules/tare/bin'), { recursive: true });
      writeFileSync(join(dir, 'elsewhere/lib/node_modules/tare/bin/tare'), '');
      runs(link(join(dir, 'node_modules/tare/bin/tare'), join(dir, 'elsewhere/bin/tare')));
      const { stdout } = run(link('bin/tare', join(dir, 'elsewhere/docker')));
      assert.equal(stdout, 'x64\ncalled docker\n');
    }),
  );

  it(
    'takes the package for this machine where there are several',
    within((dir) => {
      const path = installLibrary(join(dir, 'node_modules'));
      installNative(join(dir, 'node_modules'), 'x64');
      installNative(join(dir, 'node_modules'), 'arm64');
      assert.equal(run(path).stdout.split('\n')[0], process.arch);
    }),
  );

  it(
    'without one: exit 125 and what to do',
    within((dir) => {
      const { status, stderr } = run(installLibrary(join(dir, 'node_modules')));
      assert.equal(status, 125);
      assert.match(
        stderr,
        /^tare: Cannot start: the package @tare\/linux-x64 or @tare\/linux-arm64 is not installed; /,
      );
    }),
  );
});
