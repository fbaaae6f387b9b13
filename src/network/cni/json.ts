import { TareError } from '../../base/errors.ts';

/** JSON of somebody else: a configuration, or what a plugin printed. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Deeper than anything anybody means, and shallow enough to be written again. */
const MAX_DEPTH = 64;
const MAX_REASON = 120;

/** What is not as it must be, and where; whoever knows of what it is part says so (`said`). */
export class JsonProblem extends TareError {
  /** `plugins[1].type: expected a name`. */
  readonly said: string;

  constructor(said: string) {
    super('invalid', `Cannot use JSON: ${said}`);
    this.said = said;
  }
}

/** The problem at a place; "": of the whole. */
export function unexpected(where: string, expected: string): JsonProblem {
  return new JsonProblem(`${where}${where === '' ? '' : ': '}expected ${expected}`);
}

/** Reads an object. Errors: JsonProblem. */
export function parseObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new JsonProblem(`not JSON (${(cause as Error).message.slice(0, MAX_REASON)})`);
  }
  if (isTooDeep(value, MAX_DEPTH)) throw unexpected('', `no more than ${MAX_DEPTH} levels`);
  return asObject(value, '');
}

function isTooDeep(value: unknown, left: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return left === 0 || Object.values(value).some((inner) => isTooDeep(inner, left - 1));
}

export function asObject(value: unknown, where: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unexpected(where, 'an object');
  return value as JsonObject;
}

/** A list of at most `most`; absent or null: an empty one. */
export function asList(value: unknown, where: string, most: number): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length > most) throw unexpected(where, `a list of at most ${most}`);
  return value as unknown[];
}

const MAX_TEXT = 4096;

/** A text; absent, null or empty: undefined. */
export function asText(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value !== 'string' || value.length > MAX_TEXT || /\p{Cc}/u.test(value))
    throw unexpected(where, `a text of one line and at most ${MAX_TEXT} characters`);
  return value;
}

/** A number that counts something; absent or null: undefined. */
export function asCount(value: unknown, where: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw unexpected(where, 'a number, not negative');
  return value;
}

/** `true`, `"true"`, `false`, `"false"`: specifications before 1.0 had texts. */
export function asFlag(value: unknown, where: string): boolean {
  if (value === undefined || value === null || value === false || value === 'false') return false;
  if (value !== true && value !== 'true') throw unexpected(where, 'true or false');
  return true;
}
