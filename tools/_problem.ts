import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Something a checker found. */
export interface Problem {
  /** Relative to the checkout. */
  readonly file: string;
  /** 1-based; 0: the file as a whole. */
  readonly line: number;
  /** What is wrong and what to do. */
  readonly message: string;
  /** Printed, but the gate stays open. */
  readonly warning?: boolean;
}

/** One part of the gate. `skipped` says why nothing was looked at. */
export interface CheckResult {
  readonly problems: readonly Problem[];
  readonly skipped?: string;
}

/** "src/a.ts:3: ...", as editors and terminals understand it. */
export function formatProblem({ file, line, message, warning }: Problem): string {
  return `${file}${line > 0 ? `:${line}` : ''}: ${warning === true ? 'warning: ' : ''}${message}`;
}

const generated: ReadonlySet<string> = new Set(['node_modules', 'dist', 'build', '.cache', '.git']);

/** Files below `dir` (relative to `root`) that pass `keep`, sorted, relative to `root`; nothing generated. Empty when there is no such folder. */
export function filesBelow(root: string, dir: string, keep: (path: string) => boolean): string[] {
  let entries;
  try {
    entries = readdirSync(join(root, dir), { withFileTypes: true });
  } catch {
    return [];
  }
  return entries
    .flatMap((entry) => {
      const path = dir === '' ? entry.name : `${dir}/${entry.name}`;
      if (entry.isDirectory()) return generated.has(entry.name) ? [] : filesBelow(root, path, keep);
      return entry.isFile() && keep(path) ? [path] : [];
    })
    .sort();
}

/** How a program ended and everything it said. */
export interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Runs a program without input and collects what it says. A program that cannot be started ends with 127. */
export function runProgram(
  argv: readonly string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv; timeoutMs?: number },
): Promise<Outcome> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  return new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 127, output: error.message }));
    child.on('close', (code, signal) =>
      resolve({ code: code ?? 1, output: signal === null ? output : `${output}\n(killed by ${signal})` }),
    );
  });
}
