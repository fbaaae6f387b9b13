import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { checksHealth, healthArgv, mergeHealth } from './health-options.ts';

const image = { test: ['CMD', 'check'], intervalNs: 5e9, timeoutNs: 0, retries: 4 };

test("mergeHealth: the image's check, whose parts the options replace; 0 is the standard", () => {
  assert.equal(mergeHealth(undefined), undefined);
  assert.deepEqual(mergeHealth(image), { test: ['CMD', 'check'], intervalNs: 5e9, retries: 4 });
  assert.deepEqual(mergeHealth(image, { test: ['CMD-SHELL', 'x'], intervalMs: 100, retries: 0, startPeriodMs: 20 }), {
    test: ['CMD-SHELL', 'x'],
    intervalNs: 1e8,
    startPeriodNs: 2e7,
    retries: 4,
  });
  assert.deepEqual(mergeHealth(image, { test: ['NONE'] }), { test: ['NONE'] });
  assert.deepEqual(mergeHealth({ test: ['NONE'] }), { test: ['NONE'] });
});

test('mergeHealth: options without anything to check are refused', () => {
  for (const options of [
    { intervalMs: 5 },
    { onFailure: 'kill' as const },
    { test: ['NONE'], retries: 1 },
    { test: ['echo', 'x'] },
    { test: ['CMD', 'x'], timeoutMs: 0 },
    { test: ['CMD', 'x'], startPeriodMs: -1 },
  ]) {
    let caught: unknown;
    try {
      mergeHealth(undefined, options);
    } catch (error) {
      caught = error;
    }
    assert.ok(isKind(caught, 'invalid'), JSON.stringify(options));
  }
  assert.equal(mergeHealth(undefined, { onFailure: 'none' }), undefined);
});

test('healthArgv and checksHealth', () => {
  assert.deepEqual(healthArgv(['CMD', 'a', 'b']), ['a', 'b']);
  assert.deepEqual(healthArgv(['CMD-SHELL', 'a b']), ['/bin/sh', '-c', 'a b']);
  assert.deepEqual(
    [[], ['NONE'], ['CMD'], ['CMD', 'a']].map((list) => checksHealth({ test: list })),
    [false, false, false, true],
  );
});
