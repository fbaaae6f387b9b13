import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { logOptions } from './print-logs.ts';

/** Runs printLogs in a process of its own: it writes to the streams themselves. */
function printed(
  records: readonly (readonly [stream: number, text: string, partial: boolean, who: string])[],
  timestamps = false,
): readonly [string, string] {
  const script = `import { printLogs } from '${import.meta.dirname}/print-logs.ts';
    const records = ${JSON.stringify(records)}.map(([stream, text, partial, who]) => ({ stream, text: Buffer.from(text), partial, time: 'T', who }));
    await printLogs((async function* () { yield* records; })(), { timestamps: ${timestamps} }, ({ who }) => who === '' ? '' : who + ': ');`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return [stdout, stderr];
}

test('printLogs: each stream to its own; a long line has its time once', () => {
  const records = [
    [1, 'lo', true, ''],
    [2, 'err', false, ''],
    [1, 'ng', false, ''],
    [1, 'b', false, ''],
  ] as const;
  assert.deepEqual(printed(records, true), ['T long\nT b\n', 'T err\n']);
  assert.deepEqual(printed(records), ['long\nb\n', 'err\n']);
});

test('printLogs: nobody’s words stand in the middle of another’s line', () => {
  const records = [
    [1, 'lo', true, 'a'],
    [1, 'ng', true, 'a'],
    [1, 'other', false, 'b'],
    [1, 'er', false, 'a'],
    [1, 'x', false, 'a'],
  ] as const;
  assert.equal(printed(records)[0], 'a: long\nb: other\na: er\na: x\n');
  assert.equal(printed(records, true)[0], 'a: T long\nb: T other\na: T er\na: T x\n');
});

test('logOptions: -1 and all are all, an end before the beginning is an error', () => {
  assert.deepEqual(logOptions({ tail: '-1' }, 0), { follow: false });
  assert.deepEqual(logOptions({ tail: 'all', follow: true }, 0), { follow: true });
  assert.deepEqual(logOptions({ tail: '3' }, 0), { follow: false, tail: 3 });
  assert.throws(() => logOptions({ tail: 'x' }, 0), /--tail/);
  assert.throws(() => logOptions({ since: '10', until: '5' }, 0), /the end is before the beginning/);
});
