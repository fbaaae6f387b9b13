import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newId } from '../ids.ts';
import { imageMountId } from './take-image.ts';

test('imageMountId: ids of their own for each, none of which is the id of the container or of its layer', () => {
  const id = newId();
  const layer = [...id].reverse().join('');
  const ids = Array.from({ length: 32 }, (_, index) => imageMountId(id, index + 1));
  assert.equal(new Set([...ids, id, layer]).size, 34);
  for (const one of ids) assert.match(one, /^[0-9a-f]{64}$/);
});
