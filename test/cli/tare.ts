import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { unmountBelow } from '../support/mounts.ts';
import { needs, type Need } from '../support/needs.ts';

/** The launcher of this checkout. */
export const launcher = join(import.meta.dirname, '../../bin/tare');

/** Running containers needs root and a built checkout. */
export const canRun: Need = needs.root() || (existsSync(launcher) ? false : 'needs bin/tare: run npm run build');

/** How a command line went. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A private set of roots: commands run against it; disposing removes every container and the directories. */
export class Lab implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'tare-cli-'));
  readonly env: Record<string, string> = {
    TARE_ROOT: join(this.dir, 'root'),
    TARE_RUNROOT: join(this.dir, 'run'),
    TARE_STORAGE_ROOT: join(this.dir, 'storage'),
    TARE_STORAGE_RUNROOT: join(this.dir, 'storage-run'),
    TARE_DEFAULT_NETWORK: 'none',
  };

  /** Runs `tare ARGS` to its end; killed after half a minute. */
  async tare(args: readonly string[], input = ''): Promise<Outcome> {
    const child = this.start(args);
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    const code = new Promise<number | null>((resolve) => child.on('exit', resolve));
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return { code: await code, stdout, stderr };
  }

  /** Starts `tare ARGS`. */
  start(args: readonly string[]) {
    return spawn(launcher, [...args], {
      env: { ...process.env, ...this.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: 30_000,
      killSignal: 'SIGKILL',
    });
  }

  [Symbol.dispose](): void {
    const options = { env: { ...process.env, ...this.env }, encoding: 'utf8', timeout: 30_000 } as const;
    const ids = spawnSync(launcher, ['ps', '-aq', '--no-trunc'], options)
      .stdout.split('\n')
      .filter((id) => id !== '');
    if (ids.length > 0) spawnSync(launcher, ['rm', '-f', ...ids], options);
    // Podman leaves its storage mounted on itself when it ends in an error.
    unmountBelow(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
