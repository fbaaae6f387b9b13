import { TareError, messageOf } from '../base/errors.ts';

/** Errors of the network that another try may cure. */
const transientCodes = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'ENETUNREACH', 'ECONNABORTED']);

/** A connection that failed. `transient` when another try may help; `garbled` when somebody is there but does not speak this protocol. */
export class ConnectionError extends TareError {
  readonly transient: boolean;
  readonly garbled: boolean;

  constructor(host: string, cause: unknown) {
    const code = codeOf(cause);
    const untrusted = /CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(code);
    const state = untrusted
      ? `its certificate is not trusted (${messageOf(cause).split(';', 1)[0]})`
      : stateOf(code, cause);
    super(untrusted ? 'denied' : 'unavailable', `Cannot reach ${host}: ${state}`, { cause });
    this.transient = transientCodes.has(code) || code === 'timeout';
    this.garbled = code === 'ECONNRESET' || code === 'EPIPE' || code === 'EPROTO' || /^(HPE_|ERR_SSL)/.test(code);
  }
}

/** The other side said nothing for too long: a cause of ConnectionError. */
export class Timeout extends Error {
  readonly code = 'timeout';
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function stateOf(code: string, cause: unknown): string {
  if (code === 'ECONNREFUSED') return 'nothing listens there';
  if (code === 'ENOTFOUND') return 'there is no such host';
  if (code === 'EAI_AGAIN') return 'its name cannot be looked up now';
  if (code === 'ECONNRESET' || code === 'EPIPE') return 'the connection broke';
  if (code.startsWith('ERR_SSL') && /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/.test(code))
    return 'it wants a client certificate';
  if (code === 'EPROTO' || code.startsWith('ERR_SSL')) return 'it does not speak TLS';
  return messageOf(cause) || code;
}
