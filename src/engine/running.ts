import type { ExitRecord } from '../runtime/state.ts';

/** Output of a container: stream 1 is stdout (everything, with a terminal), 2 is stderr. Awaited, so that a slow reader slows the container. */
export type OutputHandler = (stream: 1 | 2, bytes: Uint8Array) => void | Promise<void>;

/** A started container we are connected to. */
export interface Running {
  readonly id: string;
  readonly name: string;
  readonly pid: number;
  readonly warnings: readonly string[];
  /** Sets the one reader of the container's output; output that came earlier is delivered first. */
  onOutput(handler: OutputHandler): void;
  /** Resolves when the bytes are on their way and more may be sent. */
  writeStdin(bytes: Uint8Array): Promise<void>;
  /** End of file for the container's standard input. */
  endStdin(): void;
  resize(rows: number, cols: number): void;
  /** Sends a signal number to the first process. */
  kill(signal: number): Promise<void>;
  /** How it ended, after all output was delivered. Rejects with `unavailable` when its monitor died. */
  readonly exit: Promise<ExitRecord>;
  /** After `exit`: removes an auto-remove container and lets the monitor go. Idempotent. */
  finish(): Promise<void>;
  /** Lets go: the container keeps running. */
  close(): void;
}
