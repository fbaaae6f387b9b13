/** What a field is while the line of headings of a `table` is made: its heading, whatever is asked of it. */
export class Heading {
  readonly text: string;
  readonly #words: Readonly<Record<string, string>>;

  /** `words`: headings that differ from the field's name. */
  constructor(text: string, words: Readonly<Record<string, string>>) {
    this.text = text;
    this.#words = words;
  }

  /** `.Name` of it, `.Label "x"` with an argument. */
  field(name: string, args: readonly unknown[]): Heading {
    const [given] = args;
    const text = typeof given === 'string' ? labelHeading(given) : this.#heading(name);
    return new Heading(text, this.#words);
  }

  #heading(name: string): string {
    const word = Object.hasOwn(this.#words, name) ? this.#words[name] : undefined;
    return word ?? fieldHeading(name);
  }
}

/** `CreatedAt` is CREATED AT. */
export function fieldHeading(name: string): string {
  return name.replace(/(?<=\p{Ll})(?=\p{Lu})/gu, ' ').toUpperCase();
}

function labelHeading(label: string): string {
  return (label.split('.').at(-1) ?? '').replaceAll(/[-_]/g, ' ');
}
