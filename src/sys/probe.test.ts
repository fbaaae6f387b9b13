import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { test } from 'node:test';
import { kernelFeatures } from './probe.ts';

test('kernelFeatures says what a kernel of this version has, and makes no process', () => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const since = (wantedMajor: number, wantedMinor: number): boolean =>
    major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
  const features = kernelFeatures();
  assert.equal(features.openat2, since(5, 6));
  assert.equal(features.mountApi, since(5, 2));
  assert.equal(features.mountSetattr, since(5, 12));
  assert.equal(features.idMappedMounts, since(5, 12));
  assert.equal(features.pidfd, since(5, 3));
  assert.equal(features.cloneIntoCgroup, since(5, 7));
  if (features.overlay) assert.equal(features.overlayAppend, since(6, 7));
  assert.equal((features.seccompFlags & 32) !== 0, features.seccompFlags >= 0 && since(5, 19));
  assert.equal(readFileSync('/proc/thread-self/children', 'utf8').trim(), '');
});

test('kernelFeatures is overridden by its argument, field by field', () => {
  const features = kernelFeatures({ overlayAppend: false, landlockAbi: 3, seccompFlags: -1 });
  assert.deepEqual([features.overlayAppend, features.landlockAbi, features.seccompFlags], [false, 3, -1]);
  assert.equal(features.openat2, kernelFeatures().openat2);
});
