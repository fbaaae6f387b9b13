/** Layers that take seconds each, and random trees by the hundred. TARE_SEED: the first of their seeds. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { attack } from '../../src/archive/_attack.suite.ts';
import { hostileLayers } from '../../src/archive/_hostile.suite.ts';
import { needs } from '../support/needs.ts';

const skip = needs.root();

describe('LayerUnpacker and a big hostile layer', { skip }, () => {
  for (const [what, { big }] of Object.entries(hostileLayers('/nowhere')))
    if (big === true) test(what, () => attack(what));
});

test('LayerUnpacker: the property tests over 1000 trees', { skip }, (t) => {
  const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}`);
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--test', join(import.meta.dirname, '../../src/archive/property.test.ts')],
    {
      encoding: 'utf8',
      env: { ...process.env, TARE_TREES: '1000', TARE_SEED: String(seed), NODE_TEST_CONTEXT: undefined },
    },
  );
  assert.equal(status, 0, stdout + stderr);
});
