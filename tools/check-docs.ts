/** The documentation's promises: its links lead somewhere, and its examples compile and run. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { filesBelow, runProgram, type CheckResult, type Outcome, type Problem } from './_problem.ts';

/** A fenced block ```ts run: `line` is that of its first line of code. */
export interface Example {
  readonly file: string;
  readonly line: number;
  readonly code: string;
}

const markdown = (root: string): string[] => filesBelow(root, '', (path) => path.endsWith('.md'));

/** The examples of a Markdown text. */
export function examplesOf(file: string, text: string): Example[] {
  const examples: Example[] = [];
  let start = -1;
  let runs = false;
  const lines = text.split('\n');
  lines.forEach((line, index) => {
    const fence = /^```(.*)$/.exec(line);
    if (!fence) return;
    if (start < 0) {
      start = index + 1;
      runs = /^ts\s+run\b/.test(fence[1] ?? '');
    } else {
      if (runs) examples.push({ file, line: start + 1, code: lines.slice(start, index).join('\n') });
      start = -1;
    }
  });
  return examples;
}

/** The id GitHub gives a heading. */
export function headingId(heading: string): string {
  return heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

function headingIds(text: string): Set<string> {
  return new Set([...withoutCode(text).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)].map((match) => headingId(match[1] ?? '')));
}

/** Blanks code out, keeping the lines. */
function withoutCode(text: string): string {
  const blank = (code: string): string => code.replace(/[^\n]/g, ' ');
  return text.replace(/^```[^]*?^```/gm, blank).replace(/`[^`\n]*`/g, blank);
}

/** Relative links and anchors of every Markdown file. Links to the web are not followed: the gate works without a network. */
export function checkLinks(root: string): CheckResult {
  const problems: Problem[] = [];
  for (const file of markdown(root)) {
    const text = withoutCode(readFileSync(join(root, file), 'utf8'));
    for (const match of text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)|^\[[^\]]+\]:\s*(\S+)/gm)) {
      const link = match[1] ?? match[2] ?? '';
      if (/^[a-z][a-z0-9+.-]*:/i.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? join(root, file) : resolve(root, dirname(file), decodeURIComponent(path));
      const line = text.slice(0, match.index).split('\n').length;
      if (!existsSync(target))
        problems.push({ file, line, message: `links to ${link}, but ${relative(root, target)} does not exist` });
      else if (
        anchor &&
        statSync(target).isFile() &&
        target.endsWith('.md') &&
        !headingIds(readFileSync(target, 'utf8')).has(anchor)
      ) {
        problems.push({
          file,
          line,
          message: `links to ${link}, but ${relative(root, target)} has no heading #${anchor}`,
        });
      }
    }
  }
  return { problems };
}

/**
 * Type-checks every example against the built package (`import ... from 'tare'` is this checkout) and runs it. Line numbers are those of the Markdown.
 * The examples use the standard directories: as root each gets its own empty ones, in a mount namespace of its own.
 */
export async function checkExamples(root: string): Promise<CheckResult> {
  const examples = markdown(root).flatMap((file) => examplesOf(file, readFileSync(join(root, file), 'utf8')));
  if (examples.length === 0) return { problems: [] };
  mkdirSync(join(root, '.cache'), { recursive: true });
  const work = mkdtempSync(join(root, '.cache/examples-'));
  try {
    const places = examples.map((example, index) => {
      const path = join(work, `example-${index}.ts`);
      // Blank lines in front: the compiler and Node report the Markdown's line numbers.
      writeFileSync(path, `${'\n'.repeat(example.line - 1)}${example.code}\nexport {};\n`);
      return { example, path };
    });
    writeFileSync(
      join(work, 'tsconfig.json'),
      JSON.stringify({
        extends: '../../tsconfig.json',
        compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
        include: ['*.ts'],
      }),
    );
    const compiled = await runProgram(
      [
        process.execPath,
        join(root, 'node_modules/typescript/bin/tsc'),
        '-p',
        join(work, 'tsconfig.json'),
        '--pretty',
        'false',
      ],
      { cwd: root },
    );
    if (compiled.code !== 0) return { problems: compileProblems(compiled, examples) };
    if (process.getuid?.() !== 0)
      return { problems: [], skipped: `${examples.length} examples compile; running them needs root` };
    const problems: Problem[] = [];
    for (const { example, path } of places) {
      const { code, output } = await runExample(path, root);
      if (code === 0) continue;
      const at = new RegExp(`${path.replace(/[.\\/]/g, '\\$&')}:(\\d+)`).exec(output)?.[1];
      problems.push({
        file: example.file,
        line: at === undefined ? example.line : Number(at),
        message: `example ended with ${code}: ${output.trim().split('\n').slice(-12).join('\n    ')}`,
      });
    }
    return { problems };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function compileProblems({ output }: Outcome, examples: readonly Example[]): Problem[] {
  const problems = output.split('\n').flatMap((line): Problem[] => {
    const match = /example-(\d+)\.ts\((\d+),\d+\): error (.+)$/.exec(line);
    const example = examples[Number(match?.[1])];
    return match && example
      ? [{ file: example.file, line: Number(match[2]), message: `example does not compile: ${match[3]}` }]
      : [];
  });
  return problems.length > 0
    ? problems
    : [{ file: 'docs', line: 0, message: `examples do not compile: ${output.trim()}` }];
}

/** Empty /var/lib/tare and so on, and a network of its own: gone with the namespaces. */
function runExample(path: string, root: string): Promise<Outcome> {
  const script = `set -e
for dir in /var/lib/tare /run/tare /var/lib/containers /run/containers; do mkdir -p "$dir"; mount -t tmpfs tmpfs "$dir"; done
ip link set lo up
exec "$@"`;
  return runProgram(
    ['unshare', '--mount', '--net', '--propagation', 'private', 'sh', '-c', script, 'sh', process.execPath, path],
    { cwd: root, timeoutMs: 60_000 },
  );
}
