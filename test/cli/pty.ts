import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** A step of a session at a terminal. */
export type Step =
  | readonly ['expect', text: string]
  | readonly ['send', text: string]
  | readonly ['signal', number: number]
  | readonly ['resize', rows: number, cols: number];

/** How a session at a terminal went. */
export interface PtyResult {
  readonly output: string;
  /** Negative: killed by that signal. */
  readonly code: number;
  /** The terminal's modes are what they were. */
  readonly restored: boolean;
  readonly failed: readonly unknown[] | null;
}

/** Runs a program on a terminal of its own (python3's pty) and plays the steps. */
export async function onTerminal(
  argv: readonly string[],
  steps: readonly Step[],
  more: { readonly env?: Record<string, string>; /** In seconds; 20 without. */ readonly timeout?: number } = {},
): Promise<PtyResult> {
  const job = JSON.stringify({ argv, steps, rows: 31, cols: 97, ...more });
  const { stdout } = await promisify(execFile)('python3', [join(import.meta.dirname, 'pty.py'), job]);
  return JSON.parse(stdout) as PtyResult;
}
