const NAMED: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
};
const LETTER = new Map(Object.entries(NAMED).map(([letter, character]) => [character, letter]));
const ESCAPE = /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|([0-7]{3})|([^]))/g;

/** What stands between the quotes of a Go string, with its escapes resolved; undefined when one is none. */
export function unquote(inner: string): string | undefined {
  let bad = false;
  const text = inner.replace(ESCAPE, (_, u?: string, U?: string, x?: string, octal?: string, letter?: string) => {
    const code = u ?? U ?? x;
    const point = code === undefined ? (octal === undefined ? undefined : parseInt(octal, 8)) : parseInt(code, 16);
    if (point !== undefined) {
      if (point > 0x10ffff) bad = true;
      return point > 0x10ffff ? '' : String.fromCodePoint(point);
    }
    const named = letter !== undefined && Object.hasOwn(NAMED, letter) ? NAMED[letter] : undefined;
    if (named === undefined) bad = true;
    return named ?? '';
  });
  return bad ? undefined : text;
}

/** A text as a Go string literal: what does not print is escaped. */
export function quote(text: string): string {
  let inner = '';
  for (const character of text) {
    const letter = character === "'" ? undefined : LETTER.get(character);
    const point = character.codePointAt(0) ?? 0;
    if (letter !== undefined) inner += `\\${letter}`;
    else if (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character)) inner += character;
    else if (point < 0x80) inner += `\\x${hex(point, 2)}`;
    else inner += point > 0xffff ? `\\U${hex(point, 8)}` : `\\u${hex(point, 4)}`;
  }
  return `"${inner}"`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
