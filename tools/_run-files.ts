import { join, relative } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import type { Skip } from './_skips.ts';

/** Counts of a run. */
export interface RunResult {
  readonly passed: number;
  readonly failed: number;
  readonly skips: readonly Skip[];
  /** How long the tests of each file took together, in seconds; the longest first. */
  readonly durations: readonly (readonly [file: string, seconds: number])[];
}

/** How a run tells about itself. */
export interface RunOptions {
  /** Of one test. */
  readonly testTimeoutMs: number;
  /** Of the whole run; then what still runs is stopped and counts as failed. */
  readonly totalTimeoutMs: number;
  /** These run one at a time, after the others. */
  readonly isAlone?: ((path: string) => boolean) | undefined;
  readonly say: (line: string) => void;
}

/**
 * Runs test files (relative to `root`), three at a time (many wait), each in its own process. On a terminal every test is shown, elsewhere only what failed.
 * A file that ends without running a test counts as failed: it would prove nothing.
 */
export async function runFiles(root: string, files: readonly string[], options: RunOptions): Promise<RunResult> {
  const { isAlone = () => false, totalTimeoutMs } = options;
  const signal = AbortSignal.timeout(totalTimeoutMs);
  const alone = files.filter((file) => isAlone(file));
  const others = files.filter((file) => !isAlone(file));
  const parts = [
    await runTogether(root, others, 3, signal, options),
    await runTogether(root, alone, 1, signal, options),
  ];
  return {
    passed: parts.reduce((sum, part) => sum + part.passed, 0),
    failed: parts.reduce((sum, part) => sum + part.failed, 0),
    skips: parts.flatMap((part) => part.skips),
    durations: parts.flatMap((part) => part.durations).sort(([, a], [, b]) => b - a),
  };
}

async function runTogether(
  root: string,
  files: readonly string[],
  concurrency: number,
  signal: AbortSignal,
  { testTimeoutMs, say }: RunOptions,
): Promise<RunResult> {
  if (files.length === 0) return { passed: 0, failed: 0, skips: [], durations: [] };
  const stream = run({
    files: files.map((file) => join(root, file)),
    concurrency,
    // A handle that keeps a file from ending is no test's failure; what it may leave behind is looked for afterwards.
    forceExit: true,
    signal,
    execArgv: [...process.execArgv, `--test-timeout=${testTimeoutMs}`],
    cwd: root,
  });
  let passed = 0;
  let failed = 0;
  const skips: Skip[] = [];
  const durations = new Map<string, number>();
  stream.on('test:pass', (event) => {
    const file = relative(root, event.file ?? '');
    if (event.nesting === 0) durations.set(file, (durations.get(file) ?? 0) + event.details.duration_ms / 1000);
    const isFile = event.name === event.file || join(root, file) === event.name;
    if (event.skip !== undefined)
      skips.push({ test: event.name, file, reason: typeof event.skip === 'string' ? event.skip : 'no reason given' });
    else if (isFile) {
      failed += 1;
      say(`FAILED ${file}: it has no tests`);
    } else if (event.details.type !== 'suite') passed += 1;
  });
  stream.on('test:fail', (event) => {
    const { error } = event.details;
    // A suite or parent fails with its tests, which are counted.
    if (event.todo !== undefined || ('failureType' in error && error.failureType === 'subtestsFailed')) return;
    failed += 1;
    if (!process.stdout.isTTY)
      say(`FAILED ${relative(root, event.file ?? '')}:${event.line ?? 0} ${event.name}\n${describe(error)}`);
  });
  if (process.stdout.isTTY) stream.compose(new spec()).pipe(process.stdout, { end: false });
  else stream.on('test:stderr', (event) => void process.stderr.write(event.message));
  for await (const _ of stream) void _;
  return { passed, failed, skips, durations: [...durations] };
}

/** An error of a test, and those it hides: a failed disposal must not hide why the test failed. */
function describe(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return hidden(cause)
    .map((part) => (part instanceof Error ? (part.stack ?? part.message) : String(part)).slice(0, 4000))
    .join('\n')
    .replace(/^/gm, '    ');
}

/** Comes from another process: it has the fields of a SuppressedError, not its class. */
function hidden(error: unknown): readonly unknown[] {
  if (typeof error !== 'object' || error === null || !('suppressed' in error) || !('error' in error)) return [error];
  return [...hidden(error.suppressed), ...hidden(error.error)];
}
