import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isKind } from '../base/errors.ts';
import { removeTree } from '../sys/remove-tree.ts';
import { canary, hostileLayers } from './_hostile.suite.ts';
import { LayerUnpacker } from './unpack.ts';

/** An empty directory in memory, where there is such a place: some layers make a hundred thousand files. */
export function memoryDir(name: string): string {
  return mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `tare-${name}-`));
}

/** Unpacks one of the hostile layers into a new directory beside a canary, and looks at both. What becomes of whiteouts is looked at where they are marks. */
export async function attack(what: string, whiteouts: 'marks' | 'files' = 'marks'): Promise<void> {
  const scratch = memoryDir('hostile');
  const inside = join(scratch, 'inside');
  try {
    const { tar: make, refused, verify } = hostileLayers(join(scratch, 'outside'))[what] ?? assert.fail();
    const tar = make();
    const check = canary(join(scratch, 'outside'));
    mkdirSync(inside);
    const fd = openSync(inside, 'r');
    try {
      const began = performance.now();
      const unpacking = (async () => {
        await using unpacker = new LayerUnpacker(fd, { whiteouts, onSplit: () => {} });
        for (let at = 0; at < tar.length; at += 65_536) await unpacker.write(tar.subarray(at, at + 65_536));
        await unpacker.finish();
      })();
      if (refused === undefined) await unpacking;
      else
        await assert.rejects(unpacking, (error) => {
          assert.ok(isKind(error, refused), String(error));
          assert.match(
            error.message,
            /^Cannot (?:unpack layer|read tar archive|read tar header|read PAX header|use)\b/,
          );
          assert.doesNotMatch(error.message, /[\0-\x1f\x7f]/, 'a name of the layer is shown as it is');
          return true;
        });
      assert.ok(performance.now() - began < 30_000, 'it took too long');
    } finally {
      closeSync(fd);
    }
    if (whiteouts === 'marks' || !/whiteout|opaque/i.test(what)) verify?.(inside);
    check();
  } finally {
    await removeTree(inside);
    rmSync(scratch, { recursive: true, force: true });
  }
}
