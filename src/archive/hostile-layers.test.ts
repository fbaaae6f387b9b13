import assert from 'node:assert/strict';
import { closeSync, openSync, rmSync } from 'node:fs';
import { describe, test } from 'node:test';
import { TareError } from '../base/errors.ts';
import { attack, memoryDir } from './_attack.suite.ts';
import { hostileLayers } from './_hostile.suite.ts';
import { LayerUnpacker } from './unpack.ts';

const root = process.getuid?.() === 0 ? {} : { skip: 'needs root: owners and device nodes' };

// The big ones have their turn in test/long.
describe('LayerUnpacker and a hostile layer', root, () => {
  for (const [what, { big }] of Object.entries(hostileLayers('/nowhere')))
    if (big !== true) {
      test(what, () => attack(what));
      test(`${what}, whiteouts as files`, () => attack(what, 'files'));
    }
});

test('LayerUnpacker: what it throws about a layer is a TareError whose message shows names quoted', root, async () => {
  const { tar } = hostileLayers('/x')['a file as parent'] ?? assert.fail();
  const scratch = memoryDir('hostile');
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
