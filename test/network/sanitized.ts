/**
 * Runs the tests of the keeper of users' networks against a build with AddressSanitizer and UndefinedBehaviorSanitizer: `tools/node test/network/sanitized.ts`.
 * A finding ends the keeper, which its tests see. Exit 0: clean; 77: the compiler lacks the sanitizers.
 */
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runSanitized } from '../support/sanitizers.ts';

using dir = mkdtempDisposableSync(join(tmpdir(), 'tare-network-asan-'));
process.exitCode = runSanitized({
  part: 'network',
  dir: dir.path,
  variable: 'TARE_TEST_KEEPER',
  tests: [join(import.meta.dirname, '../../src/network/keeper.test.ts')],
  testTimeoutMs: 60_000,
});
