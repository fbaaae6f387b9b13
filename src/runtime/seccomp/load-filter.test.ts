import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileDefaultProfile } from './compile-default.ts';

const hasCompiler = spawnSync('cc', ['--version']).status === 0;
const native = process.arch === 'arm64' ? 'arm64' : 'x64';

test(
  'the kernel takes the compiled default profile and answers as it says',
  { skip: hasCompiler ? false : 'it needs a C compiler' },
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'tare-seccomp-'));
    try {
      const program = join(dir, 'load');
      const built = spawnSync('cc', ['-O1', '-o', program, join(import.meta.dirname, '_load-filter.c')], {
        encoding: 'utf8',
      });
      assert.equal(built.status, 0, built.stderr);
      const run = spawnSync(program, { input: compileDefaultProfile(0n, native), encoding: 'utf8' });
      assert.equal(run.status, 0, `${String(run.signal)} ${run.stderr}`);
      const [EPERM, EINVAL, ENOSYS] = [1, 22, 38];
      assert.deepEqual(run.stdout.trim().split('\n').map(Number), [0, EPERM, EPERM, 0, ENOSYS, EINVAL, ENOSYS, ENOSYS]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
