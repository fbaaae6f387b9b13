/** Builds of our C programs in which mistakes of memory are found: their own tests run against them, and libFuzzer. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const common = ['-std=c17', '-g', '-O1', '-D_GNU_SOURCE', '-fno-sanitize-recover=all', `-I${join(root, 'native')}`];
const sanitizers = ['-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-static-libasan', '-static-libubsan'];
const LACKS_COMPILER = 77;

/** The C sources of a part of native/, the named ones or all. */
export function nativeSources(part: string, isWanted = (_name: string): boolean => true): string[] {
  const dir = join(root, 'native', part);
  return readdirSync(dir)
    .filter((name) => name.endsWith('.c') && isWanted(name))
    .map((name) => join(dir, name));
}

/** A program with AddressSanitizer and UndefinedBehaviorSanitizer. */
export interface SanitizedProgram {
  /** Below native/, and the program's name behind `tare-`. */
  readonly part: string;
  /** Where the program is built. */
  readonly dir: string;
  /** What the tests find it by. */
  readonly variable: string;
  readonly tests: readonly string[];
  readonly testTimeoutMs: number;
  readonly includes?: readonly string[];
  /** Where findings are written; otherwise the program's end is all there is to see. */
  readonly reports?: string;
}

/** Builds it and runs its tests. Returns their exit code, 77 where the compiler lacks the sanitizers. */
export function runSanitized(program: SanitizedProgram): number {
  const { part, dir, variable, tests, testTimeoutMs, includes = [], reports } = program;
  const built = join(dir, `tare-${part}`);
  // Our programs get no environment, so the options are compiled in; they may not be looked into for leaks.
  const log = reports === undefined ? '' : `:log_path=${reports}/report`;
  const options = `detect_leaks=0:abort_on_error=1${log}`;
  const said = [
    ['asan', options],
    ['ubsan', `${options}:print_stacktrace=1`],
  ].map(
    ([name, text]) =>
      `const char *__${name}_default_options(void);\nconst char *__${name}_default_options(void) { return "${text}"; }\n`,
  );
  writeFileSync(join(dir, 'options.c'), said.join(''));
  const compiler = process.env['CC'] ?? 'cc';
  if (!hasSanitizers(compiler)) return LACKS_COMPILER;
  const build = spawnSync(
    compiler,
    [...common, ...sanitizers, ...inclusions(includes), '-o', built, join(dir, 'options.c'), ...nativeSources(part)],
    { stdio: 'inherit' },
  );
  if (build.status !== 0) return build.status ?? 1;
  const run = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--test', `--test-timeout=${testTimeoutMs}`, ...tests],
    { stdio: 'inherit', env: { ...process.env, [variable]: built } },
  );
  return run.status ?? 1;
}

/** What libFuzzer is to be fed, and to what. */
export interface FuzzTarget {
  /** Of the artifacts in the temporary directory: `NAME-crash-...`. */
  readonly name: string;
  /** Where all is built and collected. */
  readonly dir: string;
  /** The target, and what it calls. */
  readonly sources: readonly string[];
  readonly includes: readonly string[];
  readonly seeds: readonly Buffer[];
  readonly maxBytes: number;
  readonly seconds: number;
}

/** Builds it with clang and fuzzes it. Returns libFuzzer's exit code, 77 without clang. */
export function runFuzzer({ name, dir, sources, includes, seeds, maxBytes, seconds }: FuzzTarget): number {
  if (spawnSync('clang', ['--version']).error) return LACKS_COMPILER;
  const program = join(dir, 'fuzz');
  const build = spawnSync(
    'clang',
    [...common, '-fsanitize=fuzzer,address,undefined', ...inclusions(includes), '-o', program, ...sources],
    { stdio: 'inherit' },
  );
  if (build.status !== 0) return build.status ?? 1;
  const corpus = join(dir, 'corpus');
  mkdirSync(corpus);
  for (const [i, seed] of seeds.entries()) writeFileSync(join(corpus, `seed${i}`), seed);
  const limits = [`-max_total_time=${seconds}`, `-max_len=${maxBytes}`, '-print_final_stats=1'];
  const run = spawnSync(program, [...limits, `-artifact_prefix=${tmpdir()}/${name}-crash-`, corpus], {
    stdio: 'inherit',
    cwd: dir,
  });
  return run.status ?? 1;
}

/** Whether a program that does nothing can be built with them. */
function hasSanitizers(compiler: string): boolean {
  const built = spawnSync(compiler, [...sanitizers, '-x', 'c', '-o', '/dev/null', '-'], {
    input: 'int main(void) { return 0; }',
  });
  return built.status === 0;
}

const inclusions = (dirs: readonly string[]): string[] => dirs.map((dir) => `-I${dir}`);
