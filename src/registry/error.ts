import { TareError, type ErrorKind } from '../base/errors.ts';

/** The error codes of distribution-spec that Tare raises or tells apart, with their HTTP status and kind. */
export const registryCodes = {
  BLOB_UNKNOWN: { status: 404, kind: 'not-found' },
  BLOB_UPLOAD_INVALID: { status: 400, kind: 'invalid' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, kind: 'not-found' },
  DIGEST_INVALID: { status: 400, kind: 'invalid' },
  MANIFEST_BLOB_UNKNOWN: { status: 400, kind: 'failed-precondition' },
  MANIFEST_INVALID: { status: 400, kind: 'invalid' },
  MANIFEST_UNKNOWN: { status: 404, kind: 'not-found' },
  NAME_INVALID: { status: 400, kind: 'invalid' },
  NAME_UNKNOWN: { status: 404, kind: 'not-found' },
  SIZE_INVALID: { status: 400, kind: 'invalid' },
  RANGE_INVALID: { status: 416, kind: 'invalid' },
  UNAUTHORIZED: { status: 401, kind: 'denied' },
  DENIED: { status: 403, kind: 'denied' },
  UNSUPPORTED: { status: 405, kind: 'unsupported' },
  TOOMANYREQUESTS: { status: 429, kind: 'exhausted' },
} as const satisfies Record<string, { status: number; kind: ErrorKind }>;

export type RegistryCode = keyof typeof registryCodes;

/**
 * A registry's answer that is no success. One read off the wire equals one raised in process: `code` is the spec's where the registry gave one that is known,
 * otherwise it follows from the status; it is undefined where neither says.
 */
export class RegistryError extends TareError {
  readonly status: number;
  readonly code: RegistryCode | undefined;
  /** How long the registry wants to be left alone; 0 when it did not say. */
  readonly retryAfterMs: number;

  constructor(
    status: number,
    code: RegistryCode | undefined,
    message: string,
    options?: { cause?: unknown; retryAfterMs?: number },
  ) {
    super(kindOf(status, code), message, options);
    this.retryAfterMs = options?.retryAfterMs ?? 0;
    this.status = status;
    this.code = code;
  }
}

/** The RegistryError for a code of the spec. */
export function registryError(code: RegistryCode, message: string): RegistryError {
  return new RegistryError(registryCodes[code].status, code, message);
}

/** True for a code of `registryCodes`. */
export function isRegistryCode(code: string): code is RegistryCode {
  return Object.hasOwn(registryCodes, code);
}

function kindOf(status: number, code: RegistryCode | undefined): ErrorKind {
  if (status === 413) return 'exhausted';
  if (code !== undefined) return registryCodes[code].kind;
  if (status === 404) return 'not-found';
  if (status === 405) return 'unsupported';
  if (status === 401 || status === 403) return 'denied';
  if (status === 429) return 'exhausted';
  if (status === 408 || status >= 500) return 'unavailable';
  return status >= 400 ? 'invalid' : 'internal';
}
