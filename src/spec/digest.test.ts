import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { digestAlgorithm, digestHex, imageIdOf, isDigest, parseDiffId, parseDigest, parseImageId } from './digest.ts';

const hex = (n: number): string => '0123456789abcdef'.repeat(8).slice(0, n);

test('parseDigest() takes sha256, sha384 and sha512 with exactly their digits', () => {
  for (const [algorithm, digits] of [
    ['sha256', 64],
    ['sha384', 96],
    ['sha512', 128],
  ] as const) {
    const digest = parseDigest(`${algorithm}:${hex(digits)}`);
    assert.equal(digestAlgorithm(digest), algorithm);
    assert.equal(digestHex(digest), hex(digits));
    assert.equal(isDigest(`${algorithm}:${hex(digits - 1)}`), false);
    assert.equal(isDigest(`${algorithm}:${hex(digits)}0`), false);
  }
});

test('parseDigest() refuses other algorithms, capitals, paths and trailing text', () => {
  const bad = [
    '',
    'sha256:',
    `sha1:${hex(40)}`,
    `md5:${hex(32)}`,
    `SHA256:${hex(64)}`,
    `sha256:${hex(64).toUpperCase()}`,
  ];
  for (const text of [
    ...bad,
    `sha256:${hex(64)}\n`,
    `sha256:../${hex(61)}`,
    ` sha256:${hex(64)}`,
    `sha512:${hex(64)}`,
  ]) {
    assert.throws(
      () => parseDigest(text),
      (error) => isKind(error, 'invalid'),
      text,
    );
    assert.throws(
      () => parseDiffId(text),
      (error) => isKind(error, 'invalid'),
      text,
    );
  }
});

test('imageIdOf() gives the hex of a sha256 config and refuses longer hashes', () => {
  assert.equal(imageIdOf(parseDigest(`sha256:${hex(64)}`)), hex(64));
  assert.throws(() => imageIdOf(parseDigest(`sha512:${hex(128)}`)), /image id/);
  assert.throws(() => parseImageId('abc'), /64 lower-case/);
});
