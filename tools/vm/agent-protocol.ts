/** What crosses the virtual machine's serial port: lines of JSON, requests in, answers out. */

/** Run a command as root. */
export interface Request {
  readonly id: number;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Then it is killed. */
  readonly timeoutMs: number;
  /** Its standard output comes line by line. */
  readonly lines: boolean;
}

/** The agent is there; a line of a command; how a command ended. */
export type Answer =
  | { readonly hello: string }
  | { readonly id: number; readonly line: string }
  | { readonly id: number; readonly error: string }
  | { readonly id: number; readonly code: number | null; readonly stdout: string; readonly stderr: string };
