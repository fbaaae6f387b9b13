import assert from 'node:assert/strict';
import { test } from 'node:test';
import { choosePlatform, formatPlatform, hostPlatform, normalPlatform, parsePlatform } from './platform.ts';

test('parsePlatform() resolves aliases and default variants', () => {
  const cases: Record<string, string> = {
    'linux/amd64': 'linux/amd64',
    x86_64: 'linux/amd64',
    'linux/amd64/v1': 'linux/amd64',
    'Linux/AARCH64': 'linux/arm64',
    'linux/arm64/v8': 'linux/arm64',
    'linux/arm64/8': 'linux/arm64',
    'linux/arm': 'linux/arm/v7',
    'linux/armel': 'linux/arm/v6',
    'linux/arm/6': 'linux/arm/v6',
    'windows/amd64': 'windows/amd64',
    toString: 'linux/tostring',
  };
  for (const [text, normal] of Object.entries(cases)) assert.equal(formatPlatform(parsePlatform(text)), normal, text);
  for (const text of ['', '/', 'linux/', 'a/b/c/d', 'linux/am d64', 'linux//v7'])
    assert.throws(() => parsePlatform(text), /Cannot use platform/);
});

test("hostPlatform() knows Node's and uname's names", () => {
  assert.deepEqual(
    ['x64', 'x86_64', 'arm64', 'aarch64', 'arm', 'ppc64', 's390x', 'riscv64'].map((m) =>
      formatPlatform(hostPlatform(m)),
    ),
    [
      'linux/amd64',
      'linux/amd64',
      'linux/arm64',
      'linux/arm64',
      'linux/arm/v7',
      'linux/ppc64le',
      'linux/s390x',
      'linux/riscv64',
    ],
  );
});

const entry = (
  name: string,
  os: string,
  architecture: string,
  variant?: string,
): { name: string; platform: ReturnType<typeof normalPlatform> } => ({
  name,
  platform: normalPlatform(os, architecture, variant),
});
const choose = (
  entries: readonly { name: string; platform?: ReturnType<typeof normalPlatform> }[],
  wanted: string,
): string | undefined => choosePlatform(entries, parsePlatform(wanted))?.name;

test('choosePlatform() takes the nearest variant that the machine runs, the first of equals', () => {
  const arms = [
    entry('v5', 'linux', 'arm', 'v5'),
    entry('v7', 'linux', 'arm', 'v7'),
    entry('v6', 'linux', 'arm', 'v6'),
    entry('v7b', 'linux', 'arm', 'v7'),
  ];
  assert.equal(choose(arms, 'linux/arm'), 'v7');
  assert.equal(choose(arms, 'linux/arm/v6'), 'v6');
  assert.equal(choose(arms, 'linux/arm/v8'), 'v7');
  assert.equal(choose(arms, 'linux/arm64'), undefined);
  const amds = [
    entry('v3', 'linux', 'amd64', 'v3'),
    entry('plain', 'linux', 'amd64'),
    entry('v2', 'linux', 'amd64', 'v2'),
  ];
  assert.equal(choose(amds, 'linux/amd64'), 'plain');
  assert.equal(choose(amds, 'linux/amd64/v2'), 'v2');
  assert.equal(choose(amds, 'linux/amd64/v4'), 'v3');
  assert.equal(choose([entry('only v3', 'linux', 'amd64', 'v3')], 'linux/amd64'), undefined);
});

test('choosePlatform() never takes another system or an attestation, and falls back to an entry without a platform', () => {
  const entries = [entry('win', 'windows', 'amd64'), entry('attestation', 'unknown', 'unknown')];
  assert.equal(choose(entries, 'linux/amd64'), undefined);
  assert.equal(choose([...entries, { name: 'plain' }], 'linux/amd64'), 'plain');
  assert.equal(choose([{ name: 'plain' }, entry('amd', 'linux', 'amd64')], 'linux/amd64'), 'amd');
});
