import { TareError } from '../../base/errors.ts';
import { SysError } from '../error.ts';
import type { Fd, FdLike } from '../fd.ts';
import { memfdSealed } from '../memfd.ts';
import { connectUnix } from '../socket.ts';
import {
  ATTACH_STDERR,
  ATTACH_STDIN,
  ATTACH_STDOUT,
  type ClientFrame,
  encodeClientFrame,
  FrameDecoder,
  type MonitorFrame,
  PROTOCOL_VERSION,
} from './frames.ts';
import { ExecSession } from './exec-session.ts';
import { HelperError } from './helper-error.ts';
import { Link } from './link.ts';
import { requestMount } from './mount-request.ts';

/** How the container's first process ended; the exit record is on disk. */
export interface ExitStatus {
  /** As a shell sees it: 128+n when killed by signal n. */
  readonly code: number;
  readonly signal: number;
  readonly oom: boolean;
  readonly startedAt: string;
  readonly finishedAt: string;
}

/** A monitor's answer to HELLO. */
export interface MonitorHello {
  readonly version: number;
  /** The container's first process, 0 before it started. */
  readonly pid: number;
  readonly phase: 'creating' | 'created' | 'running' | 'exited';
}

/** What an exec session is made with. */
export interface ExecOptions {
  /** Names the session on this monitor; its exit is recorded under it. */
  readonly id: string;
  /** STDIO_NULL, STDIO_PIPES, STDIO_PTY or STDIO_FDS of the Plan. */
  readonly stdio: number;
  /** With STDIO_FDS: stdin, stdout, stderr. */
  readonly stdioFds?: readonly [FdLike, FdLike, FdLike];
  /** It outlives this connection. */
  readonly detached?: boolean;
  readonly onStdout?: (bytes: Uint8Array) => void;
  readonly onStderr?: (bytes: Uint8Array) => void;
}

const phases = ['creating', 'created', 'running', 'exited'] as const;
/** Larger writes to stdin travel as several frames. */
const STDIN_FRAME_BYTES = 64 * 1024;

/** A timeout that is none: STOP is for a container that waits to be started, and for no other. */
const UNLESS_STARTED = -3;

type Reply = Extract<MonitorFrame, { type: 'ok' | 'execStarted' }>;

/** A promise that may fail unheard. */
class Later<T> {
  readonly promise: Promise<T>;
  resolve!: (value: T) => void; // set by the executor, which runs at once
  reject!: (error: unknown) => void; // likewise

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}

/**
 * A client of a container's monitor (docs/reference/monitor-protocol.md, version 1).
 *
 * Requests settle with the monitor's answer: `SysError` for ERROR, `HelperError` for FAILED, `unavailable` when the
 * connection ends first. `ready`, `started`, `exit` and `failed` may be awaited or not: nobody's failure is unhandled.
 */
export class MonitorClient implements Disposable {
  readonly #link: Link;
  readonly #decoder = FrameDecoder.ofMonitor();
  readonly #requests = new Map<number, Later<Reply>>();
  readonly #sessions = new Map<string, ExecSession>();
  readonly #hello = new Later<MonitorHello>();
  readonly #ready = new Later<number>();
  readonly #started = new Later<number>();
  readonly #exit = new Later<ExitStatus>();
  readonly #failed = new Later<HelperError>();
  readonly #closed = new Later<void>();
  #nextRequest = 1;
  #socketPath: string | undefined;

  /** The container's output after `attach`. Set them before. They run on the event loop; `pause` holds them back. */
  onStdout: ((bytes: Uint8Array) => void) | undefined;
  onStderr: ((bytes: Uint8Array) => void) | undefined;

  private constructor(fd: Fd, socketPath: string | undefined) {
    this.#socketPath = socketPath;
    this.#link = new Link(
      fd,
      (bytes) => this.#onBytes(bytes),
      (error) => this.#onClose(error),
    );
  }

  /** The starter's side of the control connection; takes `fd` over. `socketPath` is where the monitor listens (for `mount`). */
  static over(fd: Fd, options: { socketPath?: string } = {}): MonitorClient {
    return new MonitorClient(fd, options.socketPath);
  }

  /** Connects to a monitor's socket. Errors: `not-found`, `unavailable` (nobody listens), `denied`. */
  static async connect(path: string): Promise<MonitorClient> {
    const client = MonitorClient.begin(path);
    try {
      await client.#hello.promise;
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** `connect` without waiting for the monitor's answer: the first request may follow at once. */
  static begin(path: string): MonitorClient {
    const client = new MonitorClient(connectUnix(path), path);
    client.#post({ type: 'hello', version: PROTOCOL_VERSION });
    return client;
  }

  /** The monitor's answer to HELLO (only on connections made by `connect`). */
  get hello(): Promise<MonitorHello> {
    return this.#hello.promise;
  }

  /** Pid of init, which waits for `start`. Rejects when a Plan step failed, or the connection ends before. */
  get ready(): Promise<number> {
    return this.#ready.promise;
  }

  /** Pid of the process once exec'ed. Rejects as `ready`. */
  get started(): Promise<number> {
    return this.#started.promise;
  }

  /** After all output. Rejects with `HelperError` when it never started, `unavailable` when the connection ends before. */
  get exit(): Promise<ExitStatus> {
    return this.#exit.promise;
  }

  /** Fulfilled with the error when a Plan step failed; rejects when the connection ends without. */
  get failed(): Promise<HelperError> {
    return this.#failed.promise;
  }

  /** Fulfilled when the connection has ended, by either side. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Starts receiving output (`onStdout`, `onStderr`) from now on; with stdin this client may send it. */
  attach(streams: { stdin?: boolean; stdout?: boolean; stderr?: boolean }): void {
    const bits =
      (streams.stdin ? ATTACH_STDIN : 0) | (streams.stdout ? ATTACH_STDOUT : 0) | (streams.stderr ? ATTACH_STDERR : 0);
    this.#post({ type: 'attach', streams: bits });
  }

  /** Stops receiving output; the connection stays. */
  detach(): void {
    this.#post({ type: 'detach' });
  }

  /** Writes to the container's stdin. Settles when the kernel has taken it: await it for back-pressure. */
  async stdin(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += STDIN_FRAME_BYTES) {
      await this.#send({ type: 'stdin', bytes: bytes.subarray(at, at + STDIN_FRAME_BYTES) });
    }
  }

  /** End of file on the container's stdin. */
  async closeStdin(): Promise<void> {
    await this.#send({ type: 'stdin', bytes: new Uint8Array() });
  }

  /** Sets the size of the container's pty, or of an exec session's. */
  resize(rows: number, cols: number, exec = ''): void {
    this.#post({ type: 'resize', rows, cols, exec });
  }

  /** Sends a signal to the first process, to every process of the cgroup, or to an exec session. */
  async signal(signal: number, options: { all?: boolean; exec?: string } = {}): Promise<void> {
    await this.#request((req) => ({
      type: 'signal',
      req,
      signal,
      flags: options.all === true ? 1 : 0,
      exec: options.exec ?? '',
    }));
  }

  /** Releases a created container; settles when it runs. */
  async start(): Promise<void> {
    await this.#request((req) => ({ type: 'start', req }));
  }

  /** Ends a created container that waits for `start`; settles when it is again what it was before. Errors: SysError EBUSY when it no longer waits. */
  async abandon(): Promise<void> {
    await this.#request((req) => ({ type: 'stop', req, signal: 0, timeoutMs: UNLESS_STARTED }));
  }

  /** Signals, waits, kills; settles when the process is dead. timeoutMs -1: the Plan's, -2: never kill. signal 0: the Plan's. */
  async stop(options: { signal?: number; timeoutMs?: number; abort?: AbortSignal } = {}): Promise<void> {
    await this.#request(
      (req) => ({ type: 'stop', req, signal: options.signal ?? 0, timeoutMs: options.timeoutMs ?? -1 }),
      [],
      options.abort,
    );
  }

  /** Runs an exec Plan in the container; settles when it is exec'ed. The descriptors stay the caller's. */
  async exec(plan: Uint8Array, fds: readonly FdLike[], options: ExecOptions): Promise<ExecSession> {
    const { id } = options;
    if (this.#sessions.has(id))
      throw new TareError('already-exists', `Cannot exec: this connection already has a session ${JSON.stringify(id)}`);
    const session = new ExecSession(id, options, {
      send: (frame) => this.#send(frame),
      resize: (rows, cols) => this.resize(rows, cols, id),
      signal: (signal) => this.signal(signal, { exec: id }),
    });
    this.#sessions.set(id, session);
    try {
      const flags = options.detached === true ? 1 : 0;
      const ask = (): Promise<Reply> => {
        // The link has its own duplicates once it was asked.
        using memfd = memfdSealed('tare-exec-plan', plan);
        return this.#request(
          (req) => ({ type: 'exec', req, id, stdio: options.stdio, flags }),
          [memfd, ...fds, ...(options.stdioFds ?? [])],
        );
      };
      const reply = await ask();
      if (reply.type === 'execStarted') session.started(reply.pid);
      return session;
    } catch (error) {
      this.#sessions.delete(id);
      session.ended(error);
      throw error;
    }
  }

  /** Makes the monitor close and open its log file again. */
  async reopenLog(): Promise<void> {
    await this.#request((req) => ({ type: 'reopenLog', req }));
  }

  /** Runs the container's health check now; settles when its result is written. Errors: SysError EINVAL (there is none), ESRCH, EAGAIN (paused). */
  async checkHealth(): Promise<void> {
    await this.#request((req) => ({ type: 'health', req }));
  }

  /** A duplicate of the rootfs mount. Errors: as `requestMount`; `failed-precondition` when the socket's path is not known. */
  mount(): Fd {
    if (this.#socketPath === undefined)
      throw new TareError('failed-precondition', 'Cannot get the mount from monitor: its socket path is not known');
    return requestMount(this.#socketPath);
  }

  /** Promises (or no longer promises) that this client cleans up after exit and then says `done`. */
  take(on: boolean): Promise<void> {
    return this.#heard(this.#send({ type: 'take', on: on ? 1 : 0 }));
  }

  /** The clean-up is done; the monitor may leave. */
  done(): Promise<void> {
    return this.#heard(this.#send({ type: 'done' }));
  }

  /** Stops (true) or resumes the monitor's output frames to this client; other frames still come. */
  pauseOutput(on: boolean): void {
    this.#post({ type: 'pauseOutput', on: on ? 1 : 0 });
  }

  /** Whether the connection alone keeps this process alive (it does at first). */
  setRef(on: boolean): void {
    this.#link.setRef(on);
  }

  /** Ends the connection. Everything that waits is rejected with `unavailable`. */
  close(): void {
    this.#link.close();
    this.#onClose();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #send(frame: ClientFrame, fds: readonly FdLike[] = []): Promise<void> {
    return this.#link.send(encodeClientFrame(frame), fds);
  }

  /** For frames without an answer: a closed connection shows elsewhere. */
  #post(frame: ClientFrame): void {
    this.#send(frame).catch(() => {});
  }

  #heard<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => {});
    return promise;
  }

  async #request(make: (req: number) => ClientFrame, fds: readonly FdLike[] = [], abort?: AbortSignal): Promise<Reply> {
    const req = this.#nextRequest++;
    const reply = new Later<Reply>();
    const onAbort = (): void =>
      reply.reject(
        new TareError('cancelled', 'Cannot wait for monitor: the wait was cancelled', { cause: abort?.reason }),
      );
    if (abort?.aborted === true) onAbort();
    abort?.addEventListener('abort', onAbort, { once: true });
    this.#requests.set(req, reply);
    try {
      this.#send(make(req), fds).catch(reply.reject);
      return await reply.promise;
    } finally {
      this.#requests.delete(req);
      abort?.removeEventListener('abort', onAbort);
    }
  }

  #onBytes(bytes: Buffer): void {
    let frames: MonitorFrame[];
    try {
      frames = this.#decoder.push(bytes);
    } catch (error) {
      this.#link.close();
      this.#onClose(error as Error);
      return;
    }
    for (const frame of frames) this.#onFrame(frame);
  }

  #onFrame(frame: MonitorFrame): void {
    switch (frame.type) {
      case 'hello': {
        const phase = phases[frame.phase - 1] ?? 'creating';
        return this.#hello.resolve({ version: frame.version, pid: frame.pid, phase });
      }
      case 'ok':
      case 'execStarted':
        return this.#requests.get(frame.req)?.resolve(frame);
      case 'error':
        return this.#requests
          .get(frame.req)
          ?.reject(new SysError('do what was asked of the monitor', frame.errno, undefined, frame.text));
      case 'ready':
        return this.#ready.resolve(frame.pid);
      case 'started':
        this.#ready.resolve(frame.pid);
        return this.#started.resolve(frame.pid);
      case 'failed': {
        const error = new HelperError(frame.step, frame.errno, frame.text);
        if (frame.req === 0) this.#fail(error);
        return this.#requests.get(frame.req)?.reject(error);
      }
      case 'stdout':
        return this.onStdout?.(frame.bytes);
      case 'stderr':
        return this.onStderr?.(frame.bytes);
      case 'exit': {
        const { code, signal, oom, startedAt, finishedAt } = frame;
        return this.#exit.resolve({ code, signal, oom: oom !== 0, startedAt, finishedAt });
      }
      case 'execStdout':
        return this.#sessions.get(frame.exec)?.output('stdout', frame.bytes);
      case 'execStderr':
        return this.#sessions.get(frame.exec)?.output('stderr', frame.bytes);
      case 'execExit':
        this.#sessions.get(frame.exec)?.exited(frame.code, frame.signal);
        this.#sessions.delete(frame.exec);
    }
  }

  /** The container itself failed to start: whoever waits for it hears why. */
  #fail(error: HelperError): void {
    this.#failed.resolve(error);
    for (const waiting of [this.#ready, this.#started, this.#exit, ...this.#requests.values()]) waiting.reject(error);
  }

  #onClose(cause?: Error): void {
    const error = new TareError('unavailable', 'Cannot hear from monitor: the connection is closed', { cause });
    for (const waiting of [
      this.#hello,
      this.#ready,
      this.#started,
      this.#exit,
      this.#failed,
      ...this.#requests.values(),
    ])
      waiting.reject(error);
    for (const session of this.#sessions.values()) session.ended(error);
    this.#sessions.clear();
    this.#closed.resolve();
  }

  /** Stops reading from the monitor until `resume`: its buffers fill, then it stops reading the container's output. */
  pause(): void {
    this.#link.pause();
  }

  resume(): void {
    this.#link.resume();
  }
}
