import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { gist } from './gist.ts';

/** How many starts one sample covers. */
export interface Batch {
  readonly count: number;
  readonly parallel: number;
}

/** No command of the bench takes that long: past it, it hangs. */
const patienceMs = 120_000;

/** bench/timer.c as a running process: times commands from outside Node. One request at a time. */
export class Timer implements AsyncDisposable {
  readonly #program: string;
  readonly #errors: string;
  #child: ChildProcessByStdio<Writable, Readable, null> | undefined;
  #lines: AsyncIterator<string> | undefined;

  /** Starts it. `errors`: the file that collects the commands' stderr; made when missing. */
  constructor(program: string, errors: string) {
    this.#program = program;
    this.#errors = errors;
    this.#started();
  }

  /**
   * Milliseconds from before the first start of `command` until the last one was reaped. `%n` in an argument becomes a number that is new for every start.
   * Errors: Error with the end of the command's stderr when one did not exit with 0, or when it takes over two minutes.
   */
  async milliseconds(command: readonly string[], batch: Batch = { count: 1, parallel: 1 }): Promise<number> {
    const { child, lines } = this.#started();
    const bytes = Buffer.from(command.map((argument) => `${argument}\0`).join(''));
    child.stdin.write(`${batch.count} ${batch.parallel} ${bytes.length}\n`);
    child.stdin.write(bytes);
    const hang = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    const answer = await lines.next();
    clearTimeout(hang);
    const [nanoseconds, status] = answer.done === true ? [] : answer.value.split(' ');
    if (nanoseconds === undefined || status !== '0') {
      if (answer.done === true) this.#child = undefined;
      const state = answer.done === true ? 'it hung or could not be started' : `wait status ${status}`;
      throw new Error(`Cannot time ${command.join(' ')}: ${state}: ${this.#tail()}`);
    }
    return Number(nanoseconds) / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.stdin.end();
    await gone;
  }

  #started(): { child: ChildProcessByStdio<Writable, Readable, null>; lines: AsyncIterator<string> } {
    if (this.#child === undefined || this.#lines === undefined) {
      this.#child = spawn(this.#program, [this.#errors], { stdio: ['pipe', 'pipe', 'inherit'] });
      this.#child.stdin.on('error', () => {}); // A dead timer shows as the end of its output.
      this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    }
    return { child: this.#child, lines: this.#lines };
  }

  #tail(): string {
    try {
      const fd = openSync(this.#errors, 'r');
      try {
        const bytes = Buffer.alloc(4096);
        const length = readSync(fd, bytes, 0, bytes.length, Math.max(0, fstatSync(fd).size - bytes.length));
        return gist(bytes.toString('utf8', 0, length));
      } finally {
        closeSync(fd);
      }
    } catch {
      return '(no message)';
    }
  }
}
