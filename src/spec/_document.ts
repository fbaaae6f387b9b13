/** Reading untrusted JSON into types, once, at the edge. Every error names the document and the field. */
import { TareError, messageOf } from '../base/errors.ts';

/** An error of kind `invalid` about `what`: `Cannot use <what>: <state>`. */
export function invalid(what: string, state: string, cause?: unknown): TareError {
  return new TareError('invalid', `Cannot use ${what}: ${state}`, cause === undefined ? {} : { cause });
}

/** Values of an image are printed in messages: shortened, and without control characters. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  const short = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return JSON.stringify(short).replace(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '?');
}

/** The JSON object in `bytes`: strict UTF-8, no byte order mark, at most `maxBytes`. Errors: `invalid`. */
export function parseObject(bytes: Uint8Array, what: string, maxBytes: number): Fields {
  return new Fields(what, '', parseJson(bytes, what, maxBytes));
}

/** The same for a list of objects. Errors: `invalid`. */
export function parseArray(bytes: Uint8Array, what: string, maxBytes: number, maxItems: number): Fields[] {
  const value = parseJson(bytes, what, maxBytes);
  if (!Array.isArray(value)) throw invalid(what, 'it is not a list');
  if (value.length > maxItems) throw invalid(what, `it has ${value.length} items, more than ${maxItems}`);
  return value.map((item: unknown, index) => new Fields(what, `[${index}]`, item));
}

function parseJson(bytes: Uint8Array, what: string, maxBytes: number): unknown {
  if (bytes.byteLength > maxBytes) throw invalid(what, `it is longer than ${maxBytes} bytes`);
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw invalid(what, `it is not JSON: ${shown(messageOf(error))}`, error);
  }
}

/** An own property, or undefined; `null` counts as absent, as Go programs write it for empty values. */
function own(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? ((object as Record<string, unknown>)[key] ?? undefined) : undefined;
}

/** Typed access to the fields of one JSON object. A field that is absent or null is undefined; one of the wrong type is an error. */
export class Fields {
  readonly what: string;
  readonly #path: string;
  readonly #object: object;

  constructor(what: string, path: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw invalid(what, `${path === '' ? 'it' : path} is not an object`);
    }
    this.what = what;
    this.#path = path;
    this.#object = value;
  }

  #name(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`;
  }

  fail(key: string, state: string): never {
    throw invalid(this.what, `${this.#name(key)} ${state}`);
  }

  has(key: string): boolean {
    return own(this.#object, key) !== undefined;
  }

  keys(): string[] {
    return Object.keys(this.#object);
  }

  isString(key: string): boolean {
    return typeof own(this.#object, key) === 'string';
  }

  string(key: string): string | undefined {
    const value = own(this.#object, key);
    if (value !== undefined && typeof value !== 'string') this.fail(key, 'is not a string');
    return value;
  }

  /** A string that reaches a system call some day: without NUL. */
  cString(key: string): string | undefined {
    const value = this.string(key);
    if (value?.includes('\0') === true) this.fail(key, 'has a NUL character');
    return value;
  }

  boolean(key: string): boolean | undefined {
    const value = own(this.#object, key);
    if (value !== undefined && typeof value !== 'boolean') this.fail(key, 'is not a boolean');
    return value;
  }

  integer(key: string, min: number, max: number): number | undefined {
    const value = own(this.#object, key);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      this.fail(key, `is ${shown(value)}, not a whole number from ${min} to ${max}`);
    }
    return value;
  }

  object(key: string): Fields | undefined {
    const value = own(this.#object, key);
    return value === undefined ? undefined : new Fields(this.what, this.#name(key), value);
  }

  array(key: string, max: number): unknown[] | undefined {
    const value: unknown = own(this.#object, key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) this.fail(key, 'is not an array');
    if (value.length > max) this.fail(key, `has ${value.length} items, more than ${max}`);
    return value as unknown[];
  }

  objects(key: string, max: number): Fields[] | undefined {
    return this.array(key, max)?.map((item, index) => new Fields(this.what, `${this.#name(key)}[${index}]`, item));
  }

  strings(key: string, max: number): string[] | undefined {
    return this.array(key, max)?.map((item, index) => {
      if (typeof item !== 'string') this.fail(`${key}[${index}]`, 'is not a string');
      if (item.includes('\0')) this.fail(`${key}[${index}]`, 'has a NUL character');
      return item;
    });
  }

  /** An object whose values are all strings. The result has no inherited keys that matter: own properties only. */
  stringMap(key: string): Readonly<Record<string, string>> | undefined {
    const fields = this.object(key);
    if (fields === undefined) return undefined;
    return Object.fromEntries(fields.keys().map((name) => [name, fields.string(name) ?? '']));
  }
}
