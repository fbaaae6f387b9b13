import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { referenceBlocks } from './reference.ts';

test('docs/reference/cli.md: says of every verb what its flag table says', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/reference/cli.md'), 'utf8');
  for (const block of await referenceBlocks()) {
    assert.ok(page.includes(block), `out of date: run tools/node test/cli/write-reference.ts\n${block.slice(0, 60)}`);
  }
});
