/** Runs test files in one process in the virtual machine and says what came of each test, one line of JSON per test: `node run-tests.js FILE…`. */
import { run } from 'node:test';
import { basename } from 'node:path';
import { inspect } from 'node:util';
import type { GuestTest } from '../guest-test.ts';

const TIMEOUT_MS = 300_000;

const say = (result: GuestTest): void => void process.stdout.write(`${JSON.stringify(result)}\n`);
// A process per file would cost seconds each.
const stream = run({ files: process.argv.slice(2), isolation: 'none', timeout: TIMEOUT_MS, forceExit: true });
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
  const { cause } = details.error;
  const error = inspect(cause ?? details.error);
  say({ name, file: basename(file ?? ''), ms: Math.round(details.duration_ms), error });
});
for await (const _ of stream) void _;
