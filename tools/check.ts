/** The gate, `npm run check`: everything that can be said about the tree without running its tests. Exit code 1 when anything is wrong. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { checkExamples, checkLinks } from './check-docs.ts';
import { checkLayers } from './check-layers.ts';
import { checkNativeFormat, checkNativeSize } from './check-native.ts';
import { ensurePackages } from './_packages.ts';
import { formatProblem, runProgram, type CheckResult, type Problem } from './_problem.ts';

const root = dirname(import.meta.dirname);
const bin = (name: string): string => join(root, 'node_modules', name);

/** Type errors of the whole tree. */
async function checkTypes(): Promise<CheckResult> {
  const { code, output } = await runProgram(
    [process.execPath, bin('typescript/bin/tsc'), '-p', 'tsconfig.json', '--pretty', 'false'],
    { cwd: root },
  );
  return toProblems(code, output, /^(.+?)\((\d+),\d+\): error (.+)$/);
}

/** oxlint with type information, rules in .oxlintrc.json. */
async function checkLint(): Promise<CheckResult> {
  const { code, output } = await runProgram([bin('.bin/oxlint'), '--format', 'unix', '--deny-warnings'], { cwd: root });
  return toProblems(code, output, /^(.+?):(\d+):\d+: (.+)$/);
}

/** oxfmt on everything it knows, .oxfmtrc.json. */
async function checkFormat(): Promise<CheckResult> {
  const { code, output } = await runProgram([bin('.bin/oxfmt'), '--list-different', '.'], { cwd: root });
  if (code === 0) return { problems: [] };
  const files = output.split('\n').filter((line) => /\.\w+$/.test(line) && !line.includes(' '));
  if (files.length === 0) return { problems: [{ file: '.', line: 0, message: `oxfmt failed: ${output.trim()}` }] };
  return { problems: files.map((file) => ({ file, line: 0, message: 'is not formatted: run npm run format' })) };
}

/** Compiles C with warnings as errors and emits the JavaScript the examples import. */
async function checkBuild(): Promise<CheckResult> {
  const { code, output } = await runProgram([process.execPath, join(root, 'tools/build.ts')], { cwd: root });
  return toProblems(code, output, /^(?:.*\/)?((?:native|src)\/[^:(]+)[:(](\d+)[:,]\d+\)?: (?:error:? )?(.+)$/);
}

function toProblems(code: number, output: string, pattern: RegExp): CheckResult {
  if (code === 0) return { problems: [] };
  const problems = output.split('\n').flatMap((line): Problem[] => {
    const match = pattern.exec(line);
    return match ? [{ file: match[1] ?? '', line: Number(match[2]), message: match[3] ?? '' }] : [];
  });
  return {
    problems:
      problems.length > 0 ? problems : [{ file: '.', line: 0, message: `failed with ${code}: ${output.trim()}` }],
  };
}

/** Parts that need nothing run beside the build; the examples need it. Each line is a chain. */
const chains: readonly (readonly [name: string, check: () => CheckResult | Promise<CheckResult>])[][] = [
  [
    ['types', checkTypes],
    ['lint', checkLint],
    ['format', checkFormat],
    ['layers', () => checkLayers(root)],
    ['C format', () => checkNativeFormat(root)],
    ['C size', () => checkNativeSize(root)],
    ['links', () => checkLinks(root)],
  ],
  [
    ['build', checkBuild],
    ['examples', () => checkExamples(root)],
  ],
];

async function main(): Promise<void> {
  const start = performance.now();
  let failed = 0;
  // The formatter of C, and a program without libraries for an example.
  await ensurePackages(
    ['busybox-static', 'clang-format'],
    root,
    (line) => void process.stdout.write(`check: ${line}\n`),
  );
  await Promise.all(
    chains.map(async (chain) => {
      for (const [name, check] of chain) {
        const began = performance.now();
        const { problems, skipped } = await check();
        const errors = problems.filter((problem) => problem.warning !== true);
        failed += errors.length;
        const verdict =
          errors.length > 0 ? `${errors.length} to fix` : skipped === undefined ? 'ok' : `skipped: ${skipped}`;
        const listed = problems.map((problem) => `  ${formatProblem(problem)}\n`).join('');
        process.stdout.write(
          `${name.padEnd(9)} ${verdict} (${((performance.now() - began) / 1000).toFixed(1)} s)\n${listed}`,
        );
        // Old output would be checked, and blamed for what is wrong with the sources.
        if (name === 'build' && errors.length > 0) break;
      }
    }),
  );
  process.stdout.write(
    `check of ${versionOf()} ${failed === 0 ? 'passed' : `failed: ${failed} to fix`} (${((performance.now() - start) / 1000).toFixed(1)} s)\n`,
  );
  if (failed > 0) process.exitCode = 1;
}

function versionOf(): string {
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
  };
  return `${name} ${version}`;
}

await main();
