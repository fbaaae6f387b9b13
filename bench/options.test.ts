import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOptions } from './options.ts';

const place = { directory: '/here', repository: '/tare', now: new Date('2026-01-02T03:04:05.678Z') };
const parse = (...argv: string[]): ReturnType<typeof parseOptions> => parseOptions(argv, ['run', 'ps'], place);

test('parseOptions gives 30 rounds of everything into .cache by default', () => {
  const json = '/tare/.cache/bench-2026-01-02T030405Z.json';
  assert.deepEqual(parse(), { rounds: 30, warmUp: 3, only: [], json });
});

test('parseOptions takes cases by comma or repetition, and paths from the current directory', () => {
  assert.deepEqual(parse('--quick', '--only', 'run,ps', '--only=run', '--peers', 'p', '--json', 'x.json'), {
    rounds: 5,
    warmUp: 1,
    only: ['run', 'ps', 'run'],
    json: '/here/x.json',
    peers: '/here/p',
  });
});

test('parseOptions refuses unknown cases, unknown options and rounds that are no number', () => {
  assert.throws(() => parse('--only', 'running'), /no case 'running': run, ps/);
  assert.throws(() => parse('--fast'), /--fast/);
  assert.throws(() => parse('--rounds', '0'), /1 to 99999/);
});
