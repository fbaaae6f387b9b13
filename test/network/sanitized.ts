/**
 * Runs the tests of the keeper of users' networks against a build with AddressSanitizer and UndefinedBehaviorSanitizer: `tools/node test/network/sanitized.ts`.
 * A finding ends the keeper, which its tests see. Exit 0: clean; 77: the compiler lacks the sanitizers.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'tare-network-asan-'));

try {
  // It gets no environment.
  writeFileSync(
    join(dir, 'options.c'),
    'const char *__asan_default_options(void);\nconst char *__asan_default_options(void) { return "detect_leaks=0:abort_on_error=1"; }\n',
  );
  const native = join(root, 'native/network');
  const build = spawnSync(
    process.env['CC'] ?? 'cc',
    [
      ...['-std=c17', '-g', '-O1', '-D_GNU_SOURCE', '-fno-omit-frame-pointer', '-fsanitize=address,undefined'],
      ...['-fno-sanitize-recover=all', '-static-libasan', '-static-libubsan'],
      '-o',
      join(dir, 'tare-network'),
      join(dir, 'options.c'),
      ...readdirSync(native)
        .filter((name) => name.endsWith('.c'))
        .map((name) => join(native, name)),
    ],
    { stdio: 'inherit' },
  );
  if (build.status !== 0) process.exit(77);
  const run = spawnSync(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      '--test',
      '--test-timeout=60000',
      join(root, 'src/network/keeper.test.ts'),
    ],
    { stdio: 'inherit', env: { ...process.env, TARE_TEST_KEEPER: join(dir, 'tare-network') } },
  );
  process.exitCode = run.status ?? 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
