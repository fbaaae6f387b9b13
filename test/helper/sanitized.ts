/**
 * Runs the helper's tests against a build with AddressSanitizer and UndefinedBehaviorSanitizer: `tools/node test/helper/sanitized.ts`.
 * A finding fails the run. Exit 0: clean; 77: the compiler lacks the sanitizers.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'tare-asan-'));
const reports = join(dir, 'reports');

try {
  mkdirSync(reports);
  chmodSync(dir, 0o755);
  chmodSync(reports, 0o777);
  // The helper gets no environment: the options are compiled in. It is not dumpable, so the leak checker cannot look into it.
  const options = `detect_leaks=0:abort_on_error=1:log_path=${reports}/report`;
  writeFileSync(
    join(dir, 'options.c'),
    `const char *__asan_default_options(void);\nconst char *__asan_default_options(void) { return "${options}"; }\nconst char *__ubsan_default_options(void);\nconst char *__ubsan_default_options(void) { return "${options}:print_stacktrace=1"; }\n`,
  );
  const helper = join(root, 'native/helper');
  const sources = readdirSync(helper)
    .filter((name) => name.endsWith('.c'))
    .map((name) => join(helper, name));
  const build = spawnSync(
    process.env['CC'] ?? 'cc',
    [
      '-std=c17',
      '-g',
      '-O1',
      '-D_GNU_SOURCE',
      '-fno-omit-frame-pointer',
      '-fsanitize=address,undefined',
      '-fno-sanitize-recover=all',
      '-static-libasan',
      '-static-libubsan',
      `-I${root}/build/gen`,
      '-o',
      join(dir, 'tare-helper'),
      join(dir, 'options.c'),
      ...sources,
    ],
    { stdio: 'inherit' },
  );
  if (build.status !== 0) process.exit(77);
  const tests = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(import.meta.dirname, name));
  const run = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--test', '--test-timeout=30000', ...tests],
    { stdio: 'inherit', env: { ...process.env, TARE_TEST_HELPER: join(dir, 'tare-helper') } },
  );
  process.exitCode = run.status ?? 1;
  for (const name of readdirSync(reports)) {
    console.error(readFileSync(join(reports, name), 'utf8'));
    process.exitCode = 1;
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
