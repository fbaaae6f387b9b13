/**
 * Runs the resolver's tests against a build with AddressSanitizer and UndefinedBehaviorSanitizer: `tools/node test/resolver/sanitized.ts`.
 * A finding ends the resolver's worker, which its tests see. Exit 0: clean; 77: the compiler lacks the sanitizers.
 */
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runSanitized } from '../support/sanitizers.ts';

using dir = mkdtempDisposableSync(join(tmpdir(), 'tare-resolver-asan-'));
process.exitCode = runSanitized({
  part: 'resolver',
  dir: dir.path,
  variable: 'TARE_TEST_RESOLVER',
  tests: [join(import.meta.dirname, '../../src/network/resolver.test.ts')],
  testTimeoutMs: 60_000,
});
