import type { TareError } from '../base/errors.ts';
import type { HttpResponse } from './_response.ts';
import { RegistryError, isRegistryCode, type RegistryCode } from './error.ts';

const MAX_ERROR_BYTES = 64 * 1024;
const MAX_RETRY_AFTER_MS = 60_000;

/** The RegistryError in an answer of status 400 or more (distribution-spec, "Error Codes"). `missing` is what a 404 means that says no more. */
export async function errorOf(
  response: HttpResponse,
  doing: string,
  missing: RegistryCode | undefined,
): Promise<TareError> {
  let code = response.status === 404 ? missing : codeOfStatus(response.status);
  let said = '';
  try {
    const text = new TextDecoder().decode(await response.bytes(MAX_ERROR_BYTES, 'the error'));
    const { errors } = JSON.parse(text) as { errors?: unknown };
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    if (typeof first === 'object' && first !== null) {
      if ('code' in first && typeof first.code === 'string' && isRegistryCode(first.code))
        ({ code } = first as { code: RegistryCode });
      if ('message' in first && typeof first.message === 'string') said = printable(first.message);
    }
  } catch {
    // The status alone has to do.
  }
  const host = response.url.host;
  const states: Partial<Record<RegistryCode, string>> = {
    MANIFEST_UNKNOWN: `${host} does not have it`,
    NAME_UNKNOWN: `${host} does not have this repository`,
    BLOB_UNKNOWN: `${host} does not have this blob`,
    MANIFEST_BLOB_UNKNOWN: `${host} does not have all that it refers to`,
    UNAUTHORIZED: `${host} wants a login, or does not have this repository`,
    DENIED: `${host} does not allow it`,
    TOOMANYREQUESTS: `${host} takes no more requests now`,
    UNSUPPORTED: `${host} does not do this`,
  };
  const state = (code && states[code]) ?? `${host} answered ${response.status}`;
  return new RegistryError(response.status, code, `Cannot ${doing}: ${state}${said === '' ? '' : ` (${said})`}`, {
    retryAfterMs: retryAfterMs(response),
  });
}

function codeOfStatus(status: number): RegistryCode | undefined {
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return 'DENIED';
  if (status === 405) return 'UNSUPPORTED';
  if (status === 413) return 'SIZE_INVALID';
  if (status === 416) return 'RANGE_INVALID';
  return status === 429 ? 'TOOMANYREQUESTS' : undefined;
}

/** Another host's words, fit for a terminal: one line, no control or direction characters, not long. */
function printable(text: string): string {
  return text
    .slice(0, 200)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
}

/** `Retry-After` in seconds or as a date; at most a minute. */
export function retryAfterMs(response: HttpResponse): number {
  const header = response.header('retry-after');
  if (header === undefined) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS) : 0;
}
