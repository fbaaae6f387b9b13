/**
 * Runs test files in one process and says what came of each test, one line of JSON per test: `node run-tests.js [--only=REGEX] FILE…`. For where a process per file
 * would cost seconds each (the virtual machine), or has to be in somebody's namespace. TARE_TEST_SLOWNESS: see test/engine/lab.ts.
 */
import { basename } from 'node:path';
import { run } from 'node:test';
import { inspect } from 'node:util';
import type { ReportedTest } from './reported-test.ts';

const TIMEOUT_MS = 300_000;

const args = process.argv.slice(2);
const only = args.find((arg) => arg.startsWith('--only='))?.slice('--only='.length);
const say = (result: ReportedTest): void => void process.stdout.write(`${JSON.stringify(result)}\n`);
const stream = run({
  files: args.filter((arg) => !arg.startsWith('--')),
  isolation: 'none',
  timeout: TIMEOUT_MS,
  forceExit: true,
  ...(only === undefined ? {} : { testNamePatterns: [new RegExp(only)] }),
});
stream.on('test:pass', ({ name, skip, file, details }) => {
  if (details.type === 'suite') return;
  say({
    name,
    file: basename(file ?? ''),
    ms: Math.round(details.duration_ms),
    ...(skip === undefined ? {} : { skip: typeof skip === 'string' ? skip : 'no reason given' }),
  });
});
stream.on('test:fail', ({ name, file, details }) => {
  // It failed with its tests, which are told.
  if ('failureType' in details.error && details.error.failureType === 'subtestsFailed') return;
  const { cause } = details.error;
  const error = inspect(cause ?? details.error);
  say({ name, file: basename(file ?? ''), ms: Math.round(details.duration_ms), error });
});
for await (const _ of stream) void _;
