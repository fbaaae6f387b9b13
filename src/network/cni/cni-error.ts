import { type ErrorKind, TareError } from '../../base/errors.ts';
import type { JsonObject } from './json.ts';

export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

/** What the specification's numbers mean (section 2, "errors"). */
const kinds: Readonly<Record<number, readonly [ErrorKind, string]>> = {
  1: ['unsupported', 'incompatible CNI version'],
  2: ['invalid', 'unsupported field in the configuration'],
  3: ['not-found', 'unknown container'],
  4: ['internal', 'invalid environment variables'],
  5: ['unavailable', 'input or output failed'],
  6: ['invalid', 'what it read could not be decoded'],
  7: ['invalid', 'invalid configuration'],
  11: ['unavailable', 'try again later'],
  50: ['unavailable', 'the plugin is not available'],
  51: ['unavailable', 'the plugin is not available, and containers may be cut off'],
};

/** What a command does, of which network. */
const doing: Readonly<Record<CniCommand, string>> = {
  ADD: 'join CNI network',
  DEL: 'leave CNI network',
  CHECK: 'check CNI network',
  GC: 'collect CNI network',
  STATUS: 'use CNI network',
  VERSION: 'ask CNI plugin',
};

/** What was asked of which plugin, and for which network. */
export interface CniRequest {
  readonly plugin: string;
  readonly command: CniCommand;
  readonly network?: string;
}

export function cannot({ plugin, command, network }: CniRequest): string {
  return network === undefined
    ? `Cannot ${doing[command]} ${plugin}`
    : `Cannot ${doing[command]} ${network}: plugin ${plugin}`;
}

const MAX_SHOWN = 500;

/** A plugin that failed. `code` is its own: below 100 of the specification, 3: nothing is to be cleaned up, 11: worth another try; absent where it gave none. */
export class CniError extends TareError {
  readonly plugin: string;
  readonly command: CniCommand;
  readonly code?: number;

  constructor(request: CniRequest, reason: string, options: { kind?: ErrorKind; code?: number } = {}) {
    super(options.kind ?? 'unavailable', `${cannot(request)}: ${reason}`);
    this.plugin = request.plugin;
    this.command = request.command;
    if (options.code !== undefined) this.code = options.code;
  }
}

/** Somebody else's words, for a line of ours. */
export function shown(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  return line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)}…` : line;
}

/** The error that a plugin printed: `{code, msg, details}`. Undefined: it is none. */
export function pluginError(request: CniRequest, printed: JsonObject): CniError | undefined {
  const { code, msg, details } = printed;
  if (typeof code !== 'number' || !Number.isSafeInteger(code)) return undefined;
  const [kind, meaning] = kinds[code] ?? ['unavailable', ''];
  const words = [msg, details]
    .filter((text) => typeof text === 'string' && text !== '')
    .map((text) => shown(String(text)));
  const said = words.length === 0 ? meaning || 'no reason given' : words.join('; ');
  return new CniError(request, `${said} (code ${code}${meaning === '' ? '' : `: ${meaning}`})`, { kind, code });
}
