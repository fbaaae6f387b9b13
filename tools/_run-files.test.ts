import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { countReasons, unexcused, type Skip } from './_skips.ts';

interface Result {
  readonly passed: number;
  readonly failed: number;
  readonly skips: readonly Skip[];
  readonly said: readonly string[];
}

/** Runs the files with a test runner of their own: one inside a test would report to ours. */
function runIn(t: TestContext, files: Readonly<Record<string, string>>, testTimeoutMs = 10_000): Result {
  const dir = mkdtempSync('/tmp/tare-run-files-');
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  const script = `import { runFiles } from '${import.meta.dirname}/_run-files.ts';
    const said = [];
    const result = await runFiles('${dir}', ${JSON.stringify(Object.keys(files))}, { testTimeoutMs: ${testTimeoutMs}, totalTimeoutMs: 5000, say: (line) => said.push(line) });
    console.log('\\n' + JSON.stringify({ ...result, said }));`;
  writeFileSync(join(dir, 'run.mjs'), script);
  const { NODE_TEST_CONTEXT: _context, NODE_TEST_WORKER_ID: _worker, ...env } = process.env;
  const { stdout, stderr } = spawnSync(process.execPath, [join(dir, 'run.mjs')], {
    encoding: 'utf8',
    env,
    timeout: 30_000,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? stderr) as Result;
}

test('runFiles counts tests, not suites or parents, and keeps the reasons of skips', (t) => {
  const result = runIn(t, {
    'a.test.ts': `import { describe, test } from 'node:test';
      test('ok', () => {});
      test('bad', () => { throw new Error('boom'); });
      test('both', () => { using _ = { [Symbol.dispose]() { throw new Error('in disposal'); } }; throw new Error('the reason'); });
      test('skipped', { skip: 'needs root' }, () => {});
      describe('suite', () => { test('inner', () => {}); test('inner bad', () => { throw new Error('inner boom'); }); });`,
  });
  assert.equal(result.passed, 2, JSON.stringify(result));
  assert.equal(result.failed, 3);
  assert.deepEqual(result.skips, [{ test: 'skipped', file: 'a.test.ts', reason: 'needs root' }]);
  assert.match(result.said.join('\n'), /FAILED a\.test\.ts:3 bad\n.*boom/);
  assert.match(result.said.join('\n'), / both\n.*the reason[^]*in disposal/);
});

test('runFiles fails a file without tests, one that crashes, a test that hangs and a file that hangs, and ends one that would not', (t) => {
  const result = runIn(
    t,
    {
      'none.test.ts': 'export {};',
      'crash.test.ts': 'process.exit(3);',
      'hang.test.ts': `import { test } from 'node:test'; test('hangs', () => new Promise((r) => setTimeout(r, 60_000)));`,
      'stuck.test.ts': `import { test } from 'node:test'; test('stuck', () => { for (;;); });`,
      'endless.test.ts': `import { test } from 'node:test'; test('fine', () => {}); setInterval(() => {}, 1000);`,
    },
    1000,
  );
  const said = result.said.join('\n');
  assert.match(said, /none\.test\.ts: it has no tests/);
  assert.match(said, /FAILED crash\.test\.ts/);
  assert.match(said, /FAILED hang\.test\.ts:1 hangs\n.*timed out/);
  assert.match(said, /FAILED stuck\.test\.ts/);
  assert.equal(result.failed, 4, said);
  assert.equal(result.passed, 1, said);
});

test('unexcused keeps what a package or root would have run; countReasons sorts by number', () => {
  const skips = ['needs root', 'cannot here: no v2', 'needs root', 'no reason given'].map((reason, index) => ({
    test: `t${index}`,
    file: 'f',
    reason,
  }));
  assert.deepEqual(
    unexcused(skips).map(({ test: name }) => name),
    ['t0', 't2', 't3'],
  );
  assert.deepEqual(countReasons(skips), ['2 x needs root', '1 x cannot here: no v2', '1 x no reason given']);
});
