import assert from 'node:assert/strict';
import test from 'node:test';
import { UsageError } from './usage-error.ts';
import { durationMs, parseInteger, parseNumber, parseSeconds, parseSize, parseTime } from './values.ts';

test('parseSize: units are powers of 1024, fractions are cut to bytes', () => {
  const cases: Record<string, number> = {
    '0': 0,
    '512': 512,
    '64m': 64 * 1024 ** 2,
    '1g': 1024 ** 3,
    '1.5g': 1.5 * 1024 ** 3,
    '2GiB': 2 * 1024 ** 3,
    '10kb': 10240,
    '7b': 7,
    '1.5k': 1536,
    '1 m': 1024 ** 2,
  };
  for (const [text, bytes] of Object.entries(cases)) assert.equal(parseSize('-m', text), bytes, text);
  for (const text of ['', 'abc', '1x', '-1', '1mm', 'm', '1..5g', '0x10', '1e3', '99999999p', ' 1', '1ib']) {
    assert.throws(
      () => parseSize('--memory', text),
      (error) =>
        error instanceof UsageError && error.message === `Cannot use --memory ${text}: expected a size like 512m or 2g`,
      text,
    );
  }
});

test('parseInteger, parseNumber: only decimal, only in range', () => {
  assert.equal(parseInteger('-n', '42'), 42);
  assert.equal(parseInteger('-n', '-1', -1), -1);
  for (const text of ['', '1.5', '-2', 'ten', '1e3', '99999999999999999999'])
    assert.throws(() => parseInteger('-n', text, -1), UsageError, text);
  assert.equal(parseNumber('--cpus', '1.5'), 1.5);
  assert.equal(parseNumber('--cpus', '.5'), 0.5);
  for (const text of ['', '-1', 'NaN', 'Infinity', '1,5'])
    assert.throws(() => parseNumber('--cpus', text), UsageError, text);
});

test('parseSeconds: plain seconds or a duration, rounded up', () => {
  assert.equal(parseSeconds('-t', '10'), 10);
  assert.equal(parseSeconds('-t', '1m30s'), 90);
  assert.equal(parseSeconds('-t', '1500ms'), 2);
  assert.equal(parseSeconds('-t', '-1', -1), -1);
  for (const text of ['-1', '1.5', 'x', '']) assert.throws(() => parseSeconds('-t', text), UsageError, text);
});

test('durationMs: as Go writes durations, else undefined', () => {
  assert.equal(durationMs('1h30m'), 5_400_000);
  assert.equal(durationMs('1.5s'), 1500);
  assert.equal(durationMs('250ms'), 250);
  for (const text of ['', '10', 's', '1h x', '-1s']) assert.equal(durationMs(text), undefined, text);
});

test('parseTime: RFC 3339, Unix seconds, a date, a duration before now', () => {
  const now = Date.parse('2026-01-02T03:04:05Z');
  assert.equal(parseTime('--since', '10m', now), '2026-01-02T02:54:05.000Z');
  assert.equal(parseTime('--since', '1700000000', now), '2023-11-14T22:13:20.000Z');
  assert.equal(parseTime('--since', '2026-01-02T03:04:05.123456789+01:00', now), '2026-01-02T02:04:05.123Z');
  assert.equal(parseTime('--since', '2026-01-02', now), new Date(2026, 0, 2).toISOString());
  for (const text of ['', 'yesterday', '2026-13-01', '2026-01-02T99:00:00Z'])
    assert.throws(() => parseTime('--since', text, now), UsageError, text);
});
