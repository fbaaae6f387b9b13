import { PassThrough, Readable, Writable } from 'node:stream';
import { TareError } from './base/errors.ts';
import type { CommitOptions, CommittedImage } from './engine/commit.ts';
import type { ExecOptions } from './engine/create-options.ts';
import type { Engine } from './engine/engine.ts';
import type { ReachedPort } from './engine/reach-port.ts';
import type { Running } from './engine/running.ts';
import type { StatsOptions, StatsSample } from './engine/stats.ts';
import type { ProcessTable } from './engine/top.ts';
import type { ContainerUpdate } from './engine/update.ts';
import type { ExitRecord } from './runtime/state.ts';
import { parseSignal } from './spec/signals.ts';

/** How a process in a container ended. */
export interface ProcessExit {
  /** As a shell sees it: 128+n when killed by signal n. */
  readonly code: number;
  readonly signal: number;
}

/** A process started by `Container.exec`. */
export interface ContainerProcess {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  wait(): Promise<ProcessExit>;
  kill(signal?: string | number): Promise<void>;
}

/**
 * A container that belongs to this program: leaving its scope (`await using`), aborting its signal or the death of the program kills and removes it.
 */
export class Container implements AsyncDisposable {
  readonly id: string;
  /** Things that could not be set as asked on this machine. */
  readonly warnings: readonly string[];
  /** Needs `openStdin`. */
  readonly stdin: Writable;
  /** Everything, with a terminal. Not reading it holds the container back once the buffers are full. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly #engine: Engine;
  readonly #signal: AbortSignal | undefined;
  readonly #exit: Promise<ExitRecord>;
  readonly #streams: OutputStreams;
  #running: Running;
  #name: string;
  /** The next run of it, while it is being restarted. */
  #next: Promise<Running> | undefined;
  /** Restarts take turns. */
  #turn: Promise<void> = Promise.resolve();
  /** Settles when the run is over and let go. */
  #ended: Promise<unknown> = Promise.resolve();
  #disposed = false;

  get name(): string {
    return this.#name;
  }

  /** Of its first process, as the machine counts. */
  get pid(): number {
    return this.#running.pid;
  }

  /** @internal Settles when it is removed; unlike `wait` it leaves unread output alone. */
  get gone(): Promise<unknown> {
    return this.#exit;
  }

  /** @internal */
  constructor(engine: Engine, running: Running, signal: AbortSignal | undefined) {
    this.#engine = engine;
    this.#running = running;
    this.#signal = signal;
    this.id = running.id;
    this.#name = running.name;
    this.warnings = running.warnings;
    this.stdin = stdinOf(() => this.#running);
    this.#streams = new OutputStreams();
    this.#streams.connect(running);
    this.stdout = this.#streams.stdout;
    this.stderr = this.#streams.stderr;
    this.#exit = this.#end();
    this.#exit.catch(() => {});
    const onAbort = (): void => void this.#running.kill(9).catch(() => {});
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#exit.finally(() => signal?.removeEventListener('abort', onAbort)).catch(() => {});
    if (signal?.aborted === true) onAbort();
  }

  async #end(): Promise<ExitRecord> {
    for (;;) {
      const running = this.#running;
      const ended = running.exit.then(async (exit) => {
        if (this.#next === undefined) this.#streams.end();
        await running.finish();
        return exit;
      });
      this.#ended = ended.catch(() => {});
      const exit = await ended;
      const next = await this.#next?.catch(() => undefined);
      if (next === undefined) {
        this.#streams.end();
        return exit;
      }
    }
  }

  /**
   * Stops it and starts it again; output goes on in the same streams, and `wait` settles when it has ended for good. Errors: LaunchError when it cannot start again, it is gone
   * then; not-found when it is gone already.
   */
  async restart(options: { readonly timeoutSeconds?: number; readonly signal?: string } = {}): Promise<void> {
    const turn = this.#turn.then(() => this.#restart(options));
    this.#turn = turn.catch(() => {});
    await turn;
  }

  async #restart(options: { readonly timeoutSeconds?: number; readonly signal?: string }): Promise<void> {
    const { restartOwned } = await import('./engine/restart-owned.ts');
    const next = restartOwned(this.#engine, this.id, options, () => this.#ended).then((running) => {
      this.#running = running;
      this.#streams.connect(running);
      if (this.#disposed || this.#signal?.aborted === true) running.kill(9).catch(() => {});
      return running;
    });
    this.#next = next;
    try {
      await next;
    } finally {
      this.#next = undefined;
    }
  }

  /** Lets all its processes stand still until `unpause`. Errors: failed-precondition when it has ended or is paused. */
  async pause(): Promise<void> {
    const { pauseContainer } = await import('./engine/pause.ts');
    await pauseContainer(this.#engine, this.id);
  }

  /** Lets it go on. Errors: failed-precondition when it has ended or is not paused. */
  async unpause(): Promise<void> {
    const { unpauseContainer } = await import('./engine/pause.ts');
    await unpauseContainer(this.#engine, this.id);
  }

  /** Gives it another name. Errors: already-exists; invalid. */
  async rename(name: string): Promise<void> {
    const { renameContainer } = await import('./engine/rename.ts');
    await renameContainer(this.#engine, this.id, name);
    this.#name = name;
  }

  /** Changes its limits: all that are given, or none. Returns warnings. Errors: invalid; failed-precondition when more is in use. */
  async update(update: ContainerUpdate): Promise<readonly string[]> {
    const { updateContainer } = await import('./engine/update.ts');
    return updateContainer(this.#engine, this.id, update);
  }

  /** Samples what it uses, until it is gone, the loop is left or `signal` aborts. */
  async *stats(options: Omit<StatsOptions, 'all'> = {}): AsyncGenerator<StatsSample> {
    const { containerStats } = await import('./engine/stats.ts');
    for await (const [sample] of containerStats(this.#engine, [this.id], options))
      if (sample !== undefined) yield sample;
  }

  /** Its processes. `columns`: descriptors as of `tare top`. Errors: invalid; failed-precondition when it has ended. */
  async top(columns: readonly string[] = []): Promise<ProcessTable> {
    const { containerProcesses } = await import('./engine/top.ts');
    return containerProcesses(this.#engine, this.id, columns);
  }

  /**
   * Waits until the first process has ended and the container is gone. Output that nobody reads is discarded from here on.
   * Errors: unavailable when its monitor was killed.
   */
  wait(): Promise<ExitRecord> {
    this.#streams.discardUnread();
    return this.#exit;
  }

  /** Runs another process in the container. Errors: failed-precondition when it ended; LaunchError. */
  async exec(argv: readonly string[], options: Omit<ExecOptions, 'argv' | 'detach'> = {}): Promise<ContainerProcess> {
    const { execContainer } = await import('./engine/exec.ts');
    const session = await execContainer(
      this.#engine,
      this.id,
      { ...options, argv, openStdin: options.openStdin ?? false },
      'pipe',
    );
    const streams = new OutputStreams();
    streams.connect(session);
    const exit = session.exit.finally(() => {
      streams.end();
      session.close();
    });
    exit.catch(() => {});
    return {
      pid: session.pid,
      stdin: stdinOf(() => session),
      stdout: streams.stdout,
      stderr: streams.stderr,
      wait: () => {
        streams.discardUnread();
        return exit;
      },
      kill: (signal = 'KILL') => session.kill(signalNumber(signal)),
    };
  }

  /**
   * Waits until a program in it listens on a TCP port (not on loopback alone), and says where this machine reaches it: by its published port, otherwise at the container's own address. Nobody connects to find out.
   * Errors: failed-precondition when it ends before, or when it cannot be reached from here; cancelled.
   */
  async reach(port: number, options: { readonly signal?: AbortSignal } = {}): Promise<ReachedPort> {
    const { reachPort } = await import('./engine/reach-port.ts');
    return reachPort(this.#engine, this.id, port, options);
  }

  /** Sends a signal to the first process. A container that has ended is no error. Errors: invalid signal name. */
  async kill(signal: string | number = 'KILL'): Promise<void> {
    const number = signalNumber(signal);
    try {
      await this.#running.kill(number);
    } catch (error) {
      if (!(error instanceof TareError)) throw error;
    }
  }

  /**
   * A file or directory of the container as a tar, under its own name (`DIR/.`: with names that begin with `./`), as the container sees it: volumes and tmpfs included. `followLink`: a
   * link at the end of the path stands for what it leads to. The stream fails with what went wrong: not-found, cancelled.
   */
  copyFrom(path: string, options: { readonly followLink?: boolean; readonly signal?: AbortSignal } = {}): Readable {
    const [engine, id] = [this.#engine, this.id];
    return readable(async function* () {
      yield* (await import('./engine/copy.ts')).copyOut(engine, id, path, options);
    });
  }

  /**
   * Unpacks a tar (plain, gzip or zstd; a Readable will do) into a directory of the container, with the owners that it names. Nothing in it, and nothing that the container does meanwhile,
   * leads out of the container. `overwrite`: a file may take the place of a directory, and a directory that of a file.
   *
   * Errors: not-found; failed-precondition where a directory and a file meet; denied for a read-only place; invalid for a damaged archive; cancelled.
   */
  async copyTo(
    path: string,
    tar: AsyncIterable<Uint8Array>,
    options: { readonly overwrite?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const { copyIn } = await import('./engine/copy.ts');
    await copyIn(this.#engine, this.id, path, tar, options);
  }

  /** Its root file system as a tar, without volumes and other mounts. The stream fails with what went wrong. */
  export(options: { readonly signal?: AbortSignal } = {}): Readable {
    const [engine, id] = [this.#engine, this.id];
    return readable(async function* () {
      yield* (await import('./engine/export.ts')).exportContainer(engine, id, options);
    });
  }

  /** Makes an image of what it has become. Its processes stand still meanwhile. Errors: unsupported without a writable layer; invalid changes or name; exhausted; cancelled. */
  async commit(options: CommitOptions = {}): Promise<CommittedImage> {
    const { commitContainer } = await import('./engine/commit.ts');
    return await commitContainer(this.#engine, this.id, options);
  }

  /** Kills it if it still runs and returns when it is removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    this.#streams.discardUnread();
    await this.kill();
    await this.#exit.catch(() => {});
  }
}

function readable(bytes: () => AsyncGenerator<Uint8Array, void, void>): Readable {
  return Readable.from(bytes(), { objectMode: false });
}

function signalNumber(signal: string | number): number {
  return typeof signal === 'number' ? signal : parseSignal(signal);
}

type Output = Pick<Running, 'onOutput'>;

function stdinOf(target: () => Pick<Running, 'writeStdin' | 'endStdin'>): Writable {
  return new Writable({
    write(chunk: Uint8Array, _encoding, callback) {
      target()
        .writeStdin(chunk)
        .then(() => callback(), callback);
    },
    final(callback) {
      target().endStdin();
      callback();
    },
  });
}

/** Two readable streams with back-pressure down to the container. */
class OutputStreams {
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();

  /** Output of this comes from now on. */
  connect(source: Output): void {
    source.onOutput((stream, bytes) => {
      const target = stream === 1 ? this.stdout : this.stderr;
      if (target.writableEnded || target.write(bytes)) return;
      return new Promise<void>((resolve) => {
        const go = (): void => {
          target.off('drain', go).off('close', go);
          resolve();
        };
        target.on('drain', go).on('close', go);
      });
    });
  }

  end(): void {
    this.stdout.end();
    this.stderr.end();
  }

  /** Lets what nobody listens to run off. */
  discardUnread(): void {
    for (const stream of [this.stdout, this.stderr]) {
      if (stream.readableFlowing === null && stream.listenerCount('readable') === 0) stream.resume();
    }
  }
}
