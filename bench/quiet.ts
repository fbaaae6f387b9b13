import { setTimeout as sleep } from 'node:timers/promises';
import { processes } from './processes.ts';

/** For what the kernel still does when the last process is gone: taking down a network namespace takes tens of milliseconds, and delays the next one. */
const kernelMs = 50;
const patienceMs = 3000;

/**
 * Waits for the work that a sample leaves behind: `podman run --rm` returns before its clean-up process has ended, and what that still does would
 * be counted against whoever is next.
 */
export class Quiet {
  #resident: number;

  private constructor(resident: number) {
    this.#resident = resident;
  }

  /** Takes the processes that run now, after a moment, as those that stay. */
  static async now(): Promise<Quiet> {
    await sleep(300);
    return new Quiet(processes().length);
  }

  /** Resolves when no more processes run than at the start. After three seconds it takes those for residents, too. */
  async again(): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (processes().length > this.#resident && performance.now() < deadline) await sleep(5);
    this.#resident = Math.max(this.#resident, processes().length);
    await sleep(kernelMs);
  }
}
