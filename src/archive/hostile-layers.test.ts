import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isKind, TareError } from '../base/errors.ts';
import { removeTree } from '../storage/remove-tree.ts';
import { canary, hostileLayers } from './_hostile.suite.ts';
import { LayerUnpacker } from './unpack.ts';

const root = process.getuid?.() === 0 ? {} : { skip: 'needs root: owners and device nodes' };

/** In memory where there is such a place: some make a hundred thousand directories. */
const scratchRoot = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Unpacks into a new directory beside a canary, and looks at both. */
async function attack(what: string): Promise<void> {
  const scratch = mkdtempSync(join(scratchRoot, 'tare-hostile-'));
  const inside = join(scratch, 'inside');
  try {
    const { tar: make, refused, then } = hostileLayers(join(scratch, 'outside'))[what] ?? assert.fail();
    const tar = make();
    const check = canary(join(scratch, 'outside'));
    mkdirSync(inside);
    const fd = openSync(inside, 'r');
    try {
      // The sparse one of four exabytes is refused after what it asks for, not after what it holds.
      const began = performance.now();
      const unpacking = (async () => {
        await using unpacker = new LayerUnpacker(fd, { onSplit: () => {} });
        for (let at = 0; at < tar.length; at += 65_536) await unpacker.write(tar.subarray(at, at + 65_536));
        await unpacker.finish();
      })();
      if (refused === undefined) await unpacking;
      else
        await assert.rejects(unpacking, (error) => {
          assert.ok(isKind(error, refused), String(error));
          assert.match(error.message, /^Cannot (?:unpack layer|read tar archive|read tar header|read PAX header|use)\b/);
          assert.doesNotMatch(error.message, /[\0-\x1f\x7f]/, 'a name of the layer is shown as it is');
          return true;
        });
      assert.ok(performance.now() - began < 20_000, 'it took too long');
    } finally {
      closeSync(fd);
    }
    then?.(inside);
    check();
  } finally {
    await removeTree(inside);
    rmSync(scratch, { recursive: true, force: true });
  }
}

describe('LayerUnpacker and a hostile layer', root, () => {
  for (const what of Object.keys(hostileLayers('/nowhere'))) test(what, () => attack(what));
});

test('LayerUnpacker: what it throws about a layer is a TareError whose message shows names quoted', root, async () => {
  const { tar } = hostileLayers('/x')['a file as parent'] ?? assert.fail();
  const scratch = mkdtempSync(join(scratchRoot, 'tare-hostile-'));
  const fd = openSync(scratch, 'r');
  try {
    await using unpacker = new LayerUnpacker(fd);
    await unpacker.write(tar());
    await assert.rejects(
      unpacker.finish(),
      (error) => error instanceof TareError && /^Cannot unpack layer: "x\/y": .* \(.*: ENOTDIR\)$/.test(error.message),
    );
  } finally {
    closeSync(fd);
    rmSync(scratch, { recursive: true });
  }
});
