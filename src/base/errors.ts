/** The closed set of failure kinds. Doors map them once: exit code, HTTP status, gRPC code. */
export type ErrorKind =
  | 'not-found'
  | 'already-exists'
  | 'invalid'
  | 'failed-precondition'
  | 'denied'
  | 'unavailable'
  | 'cancelled'
  | 'deadline'
  | 'unsupported'
  | 'exhausted'
  | 'internal';

/** Base of every error Tare throws on purpose. The message reads "Cannot <do> <thing>: <state>" and says what to do where a person can act. */
export class TareError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
    this.name = new.target.name;
  }
}

/** True when `error` is a TareError of `kind`. */
export function isKind(error: unknown, kind: ErrorKind): error is TareError {
  return error instanceof TareError && error.kind === kind;
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
