/** Rules of the C sources: their format and their size. Warnings are errors in the build already. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, runProgram, type CheckResult, type Problem } from './_problem.ts';

/** What runs with all rights stays small enough to be read: lines of code, without blank and comment lines (docs/decisions/0006-size-of-the-helper.md). */
const limits = {
  'native/common': 100,
  'native/helper': 4700,
  'native/resolver': 2000,
  'native/network': 900,
  'native/addon': 2000,
} as const;

/** C files and headers below native/. */
export function nativeSources(root: string): string[] {
  return filesBelow(root, 'native', (path) => /\.[ch]$/.test(path));
}

/** Lines of C per part against its budget. */
export function checkNativeSize(root: string): CheckResult {
  const problems: Problem[] = [];
  for (const [dir, max] of Object.entries(limits)) {
    const lines = filesBelow(root, dir, (path) => /\.[ch]$/.test(path)).reduce(
      (sum, path) => sum + codeLines(readFileSync(join(root, path), 'utf8')),
      0,
    );
    if (lines > max)
      problems.push({
        file: dir,
        line: 0,
        message: `has ${lines} lines of C code, more than ${max}: move decisions to TypeScript`,
      });
  }
  return { problems };
}

/** Lines that are neither blank nor comment alone. */
export function codeLines(source: string): number {
  const bare = source.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ''));
  return bare.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length;
}

/** clang-format with .clang-format. Skipped where it is not installed. */
export async function checkNativeFormat(root: string): Promise<CheckResult> {
  const files = nativeSources(root);
  if (files.length === 0) return { problems: [] };
  if (!hasClangFormat())
    return { problems: [], skipped: 'clang-format is not installed: apt-get install clang-format' };
  const { code, output } = await runProgram(['clang-format', '--dry-run', '-Werror', '--ferror-limit=1', ...files], {
    cwd: root,
  });
  if (code === 0) return { problems: [] };
  const problems = output
    .split('\n')
    .map((line) => /^(.+?):(\d+):\d+: error: code should be clang-formatted/.exec(line))
    .filter((match) => match !== null)
    .map((match) => ({
      file: match[1] ?? '',
      line: Number(match[2]),
      message: 'is not formatted: run npm run format',
    }));
  return {
    problems:
      problems.length > 0 ? problems : [{ file: 'native', line: 0, message: `clang-format failed: ${output.trim()}` }],
  };
}

/** Whether clang-format is in the usual places. */
export function hasClangFormat(): boolean {
  return ['/usr/bin/clang-format', '/usr/local/bin/clang-format'].some((path) => existsSync(path));
}
