import type { Engine } from '../engine/engine.ts';
import { writeNow } from './output.ts';

/** What `main` takes from the process: the only place environment, working directory and clock enter. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** The program people call: bin/tare. */
  readonly launcher: string;
  /** The package's folder. */
  readonly packageDir: string;
  /** Milliseconds since 1970. */
  now(): number;
}

/** What a verb gets besides its flags. */
export interface Context extends Host {
  /** The engine of the global flags; made on first use. */
  readonly engine: Engine;
  readonly debug: boolean;
  /** Writes to standard output, all of it before returning. Errors: BrokenPipe. */
  print(text: string): void;
  /** Writes to standard error, all of it before returning. A reader that is gone is no error. */
  complain(text: string): void;
  /** Prints warnings, unless the user wants none. */
  warn(messages: readonly string[]): void;
  /** Prints what only a user who asked for it (--log-level info) wants to know. */
  inform(message: string): void;
}

/** `print` and `complain` over the process's descriptors. */
export const streams: Pick<Context, 'print' | 'complain'> = {
  print: (text) => writeNow(1, text),
  complain: (text) => {
    try {
      writeNow(2, text);
    } catch {
      // Nobody listens: the exit code still tells.
    }
  },
};
