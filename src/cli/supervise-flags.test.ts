import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TareError } from '../base/errors.ts';
import { parseFlags } from './parse-flags.ts';
import { healthOf, restartOf, superviseFlags } from './supervise-flags.ts';
import { UsageError } from './usage-error.ts';

const health = (...line: string[]): ReturnType<typeof healthOf> =>
  healthOf(parseFlags(superviseFlags, line, { interspersed: false }).flags);

test('restartOf: docker and podman words', () => {
  assert.equal(restartOf(undefined), undefined);
  assert.deepEqual(restartOf('always'), { policy: 'always' });
  assert.deepEqual(restartOf('unless-stopped'), { policy: 'unless-stopped' });
  assert.deepEqual(restartOf('on-failure'), { policy: 'on-failure' });
  assert.deepEqual(restartOf('on-failure:5'), { policy: 'on-failure', maxRetries: 5 });
  for (const no of ['no', 'never', '']) assert.deepEqual(restartOf(no), { policy: 'no' });
  for (const bad of ['always:3', 'on-failure:', 'on-failure:0', 'on-failure:-1', 'on-failure:1:2', 'sometimes'])
    assert.throws(() => restartOf(bad), TareError, bad);
});

test('healthOf: times, commands and lists', () => {
  assert.equal(health(), undefined);
  assert.deepEqual(
    health(
      '--health-cmd=curl -f localhost || exit 1',
      '--health-interval=1m30s',
      '--health-timeout=250ms',
      '--health-retries=2',
      '--health-start-period=10',
      '--health-start-interval=1s',
      '--health-on-failure=kill',
    ),
    {
      test: ['CMD-SHELL', 'curl -f localhost || exit 1'],
      intervalMs: 90_000,
      timeoutMs: 250,
      retries: 2,
      startPeriodMs: 10_000,
      startIntervalMs: 1000,
      onFailure: 'kill',
    },
  );
  assert.deepEqual(health('--health-cmd=["a","b c"]')?.test, ['CMD', 'a', 'b c']);
  assert.deepEqual(health('--health-cmd=["CMD-SHELL","a"]')?.test, ['CMD-SHELL', 'a']);
  assert.deepEqual(health('--health-cmd=[ -e /x ]')?.test, ['CMD-SHELL', '[ -e /x ]']);
  assert.deepEqual(health('--health-interval=disable'), { intervalMs: 0 });
  assert.deepEqual(health('--health-cmd=none'), { test: ['NONE'] });
  assert.deepEqual(health('--no-healthcheck'), { test: ['NONE'] });
  for (const bad of [['--health-interval=soon'], ['--health-interval=0'], ['--health-cmd=[1]'], ['--health-cmd=[]']])
    assert.throws(() => health(...bad), UsageError, bad.join());
  assert.throws(() => health('--no-healthcheck', '--health-retries=1'), UsageError);
});
