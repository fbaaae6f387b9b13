import { Fields, shown } from './_document.ts';

/** An object that keeps only the fields that are there: absent optional fields do not appear at all. */
export function present<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) kept[name] = value;
  return kept as T;
}

/** Fields with what the runtime configuration needs beyond an image's: numbers past 2^53, closed sets of words, nested parsers. */
export class Section extends Fields {
  readonly #raw: Readonly<Record<string, unknown>>;
  readonly #at: string;

  constructor(what: string, at: string, value: unknown) {
    super(what, at, value);
    this.#raw = value as Readonly<Record<string, unknown>>;
    this.#at = at;
  }

  /** The path of a field, for messages. */
  path(key: string): string {
    return this.#at === '' ? key : `${this.#at}.${key}`;
  }

  #own(key: string): unknown {
    return Object.hasOwn(this.#raw, key) ? (this.#raw[key] ?? undefined) : undefined;
  }

  section(key: string): Section | undefined {
    const value = this.#own(key);
    return value === undefined ? undefined : new Section(this.what, this.path(key), value);
  }

  /** An object parsed by `parse`. */
  nested<T>(key: string, parse: (section: Section) => T): T | undefined {
    const section = this.section(key);
    return section === undefined ? undefined : parse(section);
  }

  /** A list of objects, each parsed by `parse`. */
  list<T>(key: string, max: number, parse: (section: Section) => T): T[] | undefined {
    return this.array(key, max)?.map((item, index) =>
      parse(new Section(this.what, `${this.path(key)}[${index}]`, item)),
    );
  }

  /** An object with arbitrary keys, each value parsed by `parse`. */
  record<T>(key: string, max: number, parse: (section: Section) => T): Record<string, T> | undefined {
    const section = this.section(key);
    if (section === undefined) return undefined;
    const keys = section.keys();
    if (keys.length > max) this.fail(key, `has ${keys.length} entries, more than ${max}`);
    return Object.fromEntries(keys.map((name) => [name, parse(section.required(name))]));
  }

  required(key: string): Section {
    return this.section(key) ?? this.missing(key);
  }

  missing(key: string): never {
    this.fail(key, 'is missing');
  }

  /** A map of strings without NUL in keys or values. */
  textMap(key: string, max: number): Readonly<Record<string, string>> | undefined {
    const section = this.section(key);
    if (section === undefined) return undefined;
    const keys = section.keys();
    if (keys.length > max) this.fail(key, `has ${keys.length} entries, more than ${max}`);
    return Object.fromEntries(
      keys.map((name) => {
        if (name.includes('\0')) this.fail(key, 'has a NUL character in a name');
        return [name, section.cString(name) ?? ''];
      }),
    );
  }

  /** A whole number of up to 64 bits; past 2^53 only as exact as JSON carries it. */
  whole(key: string, min: number, max: number): number | undefined {
    const value = this.#own(key);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      this.fail(key, `is ${shown(value)}, not a whole number from ${min} to ${max}`);
    }
    return value;
  }

  /** One of a closed set of words. */
  word<const W extends string>(key: string, words: readonly W[]): W | undefined {
    const value = this.string(key);
    if (value === undefined) return undefined;
    const found = words.find((word) => word === value);
    return found ?? this.fail(key, `is ${shown(value)}, not one of ${words.join(', ')}`);
  }

  /** A list of words of a closed set. */
  words(key: string, max: number, known: (word: string) => boolean): string[] | undefined {
    const list = this.strings(key, max);
    list?.forEach((word, index) => {
      if (!known(word)) this.fail(`${key}[${index}]`, `is ${shown(word)}, which is not known`);
    });
    return list;
  }
}
