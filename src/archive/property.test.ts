import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { memoryDir } from './_attack.suite.ts';
import { randomizer } from './_tar.suite.ts';
import { assertTree, randomTree, rebuilt, unpackInto } from './_trees.suite.ts';

/** TARE_SEED: the first of the seeds. TARE_TREES: how many trees. */
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);
const trees = Number(process.env['TARE_TREES'] ?? 40);
const skip = process.getuid?.() !== 0 && 'needs root: owners and device nodes';
const noTar = spawnSync('tar', ['--version']).status === 0 ? false : 'needs tar';

/** Runs `body` with two empty directories, in memory where there is such a place. */
async function withDirs(body: (a: string, b: string) => Promise<void>): Promise<void> {
  const scratch = memoryDir('trees');
  const [a, b] = [join(scratch, 'a'), join(scratch, 'b')];
  try {
    mkdirSync(a);
    mkdirSync(b);
    await body(a, b);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

test(
  `LayerUnpacker: ${trees} random trees are on disk as described, and their tars come back byte for byte`,
  { skip },
  async () => {
    for (let i = 0; i < trees; i++) {
      const what = `TARE_SEED=${seed + i}`;
      const tree = randomTree(seed + i);
      await withDirs(async (dir) => {
        const split = await unpackInto(dir, tree.tar, 1 + randomizer(seed + i)(5000)).catch((error: unknown) => {
          throw new Error(what, { cause: error });
        });
        assertTree(dir, tree, what);
        assert.ok((await rebuilt(dir, split)).equals(tree.tar), what);
      });
    }
  },
);

test(
  `LayerUnpacker: ${Math.ceil(trees / 4)} random trees packed by GNU tar are the same trees again`,
  { skip: skip || noTar },
  async () => {
    for (let i = 0; i < trees / 4; i++) {
      const what = `TARE_SEED=${seed + i}`;
      const tree = randomTree(seed + i);
      await withDirs(async (a, b) => {
        await unpackInto(a, tree.tar, 65_536);
        const tar = execFileSync(
          'tar',
          ['-C', a, '--format=posix', '--sparse', '--xattrs', '--xattrs-include=*', '--sort=name', '-c', '.'],
          { maxBuffer: 2 ** 28, stdio: ['ignore', 'pipe', 'inherit'] },
        );
        const split = await unpackInto(b, tar, 10_000);
        assertTree(b, tree, what, 'files');
        assert.ok((await rebuilt(b, split)).equals(tar), what);
      });
    }
  },
);
