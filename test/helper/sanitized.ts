/**
 * Runs the helper's tests against a build with AddressSanitizer and UndefinedBehaviorSanitizer: `tools/node test/helper/sanitized.ts`.
 * A finding fails the run. Exit 0: clean; 77: the compiler lacks the sanitizers.
 */
import { chmodSync, mkdirSync, mkdtempDisposableSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runSanitized } from '../support/sanitizers.ts';

using dir = mkdtempDisposableSync(join(tmpdir(), 'tare-asan-'));
const reports = join(dir.path, 'reports');
mkdirSync(reports);
chmodSync(dir.path, 0o755);
chmodSync(reports, 0o777);
process.exitCode = runSanitized({
  part: 'helper',
  dir: dir.path,
  variable: 'TARE_TEST_HELPER',
  tests: readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(import.meta.dirname, name)),
  testTimeoutMs: 30_000,
  includes: [join(import.meta.dirname, '../../build/gen')],
  reports,
});
for (const name of readdirSync(reports)) {
  console.error(readFileSync(join(reports, name), 'utf8'));
  process.exitCode = 1;
}
