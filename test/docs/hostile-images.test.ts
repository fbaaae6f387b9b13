import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { hostileLayers } from '../../src/archive/_hostile.suite.ts';

const root = join(import.meta.dirname, '../..');

test('docs/explanation/hostile-images.md: every test it names exists', () => {
  const text = readFileSync(join(root, 'docs/explanation/hostile-images.md'), 'utf8');
  const rows = [...text.matchAll(/^\|.*\| `([^`]+\.test\.ts)`: (.+) \|$/gm)];
  assert.equal(rows.length, text.split('\n').filter((line) => line.startsWith('| ')).length - 1, 'each row has a test');
  // These have their titles from the list of layers.
  const layers = Object.keys(hostileLayers('/'));
  for (const [, file = '', title = ''] of rows) {
    const found =
      readFileSync(join(root, file), 'utf8').includes(title) ||
      (file.includes('hostile-layers') && layers.some((name) => name.startsWith(title)));
    assert.ok(found, `${file}: ${title}`);
  }
});
