import { quote } from './go-string.ts';
import { plain, show, typeName } from './values.ts';

const DIRECTIVE = /%([-+# 0]*)(\*|[0-9]+)?(?:(\.)(\*|[0-9]+)?)?([^]?)/gu;
/** As Go: a wider field is a mistake. */
const MAX_WIDTH = 1_000_000;

interface Directive {
  readonly flags: string;
  readonly width: number | undefined;
  readonly precision: number | undefined;
  readonly verb: string;
}

/** Go's `printf`: `%s %d %v %q %x %t %f …` with flags, width and precision. What does not fit is told in the text, as Go does: `%!d(string=x)`. */
export function printf(format: string, args: readonly unknown[]): string {
  let next = 0;
  const take = (): unknown => args[next++];
  const text = format.replace(
    DIRECTIVE,
    (
      _,
      flags: string,
      width: string | undefined,
      dot: string | undefined,
      precision: string | undefined,
      verb: string,
    ) => {
      const size = (given: string | undefined): number | undefined => {
        if (given === undefined) return undefined;
        const value = given === '*' ? plain(take()) : Number(given);
        return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= MAX_WIDTH
          ? value
          : Number.NaN;
      };
      const wide = size(width);
      const exact = dot === undefined ? undefined : (size(precision) ?? 0);
      if (verb === '') return '%!(NOVERB)';
      if (verb === '%') return '%';
      const bad = `${Number.isNaN(wide) ? '%!(BADWIDTH)' : ''}${Number.isNaN(exact) || (exact ?? 0) < 0 ? '%!(BADPREC)' : ''}`;
      if (next >= args.length) return `${bad}%!${verb}(MISSING)`;
      const left = flags.includes('-') || (wide ?? 0) < 0;
      const directive = {
        flags: left ? `${flags}-` : flags,
        width: wide === undefined || Number.isNaN(wide) ? undefined : Math.abs(wide),
        precision: exact !== undefined && exact >= 0 ? exact : undefined,
        verb,
      };
      return bad + format1(directive, plain(take()));
    },
  );
  if (next >= args.length) return text;
  const extra = args.slice(next).map((arg) => `${typeName(arg)}=${show(arg)}`);
  return `${text}%!(EXTRA ${extra.join(', ')})`;
}

function format1(directive: Directive, value: unknown): string {
  // Lists are formatted item by item, but for those that print any value.
  if (Array.isArray(value) && !'vT'.includes(directive.verb))
    return `[${value.map((item) => format1(directive, plain(item))).join(' ')}]`;
  const text = convert(directive, value);
  if (text === undefined) {
    const shown = value === undefined || value === null ? '<nil>' : `${typeName(value)}=${show(value)}`;
    return `%!${directive.verb}(${shown})`;
  }
  return pad(directive, text, typeof value === 'number' && 'dxXobeEfFgGv'.includes(directive.verb));
}

function pad({ flags, width }: Directive, text: string, isNumber: boolean): string {
  const missing = (width ?? 0) - [...text].length;
  if (missing <= 0) return text;
  if (flags.includes('-')) return text + ' '.repeat(missing);
  if (!flags.includes('0')) return ' '.repeat(missing) + text;
  const [, sign = '', rest = ''] = isNumber ? (/^([-+ ]?)([^]*)$/.exec(text) ?? []) : ['', '', text];
  return sign + '0'.repeat(missing) + rest;
}

/** Undefined when the verb is not for such a value. */
function convert(directive: Directive, value: unknown): string | undefined {
  const { flags, precision, verb } = directive;
  switch (verb) {
    case 'v':
      if (typeof value === 'string') return flags.includes('#') ? quote(value) : value;
      return typeof value === 'number' ? signed(flags, show(value)) : show(value);
    case 'T':
      return typeName(value);
    case 't':
      return typeof value === 'boolean' ? String(value) : undefined;
  }
  if (typeof value === 'string') return ofText(verb, value, precision, flags);
  if (typeof value === 'number') return ofNumber(directive, value);
  return undefined;
}

function ofText(verb: string, value: string, precision: number | undefined, flags: string): string | undefined {
  const text = precision === undefined ? value : [...value].slice(0, precision).join('');
  if (verb === 's') return text;
  if (verb === 'q') return flags.includes('#') && !/[`\p{Cc}]/u.test(text) ? `\`${text}\`` : quote(text);
  if (verb !== 'x' && verb !== 'X') return undefined;
  const hex = Buffer.from(text).toString('hex');
  const spaced = flags.includes(' ') ? hex.replace(/(..)(?=.)/g, '$1 ') : hex;
  return verb === 'X' ? spaced.toUpperCase() : spaced;
}

function ofNumber({ flags, precision, verb }: Directive, value: number): string | undefined {
  const radix = Object.hasOwn(RADIX, verb) ? RADIX[verb] : undefined;
  if (radix !== undefined) {
    if (!Number.isInteger(value)) return undefined;
    const digits = BigInt(Math.abs(value))
      .toString(radix)
      .padStart(precision ?? 0, '0');
    const prefix = flags.includes('#') ? ({ x: '0x', X: '0x', o: '0', b: '0b' }[verb] ?? '') : '';
    const text = `${value < 0 ? '-' : ''}${prefix}${digits}`;
    return signed(flags, verb === 'X' ? text.toUpperCase() : text);
  }
  switch (verb) {
    case 'f':
    case 'F':
      return signed(flags, fixed(value, precision ?? 6));
    case 'e':
    case 'E':
      return signed(flags, exponent(value.toExponential(Math.min(precision ?? 6, 100)), verb));
    case 'g':
    case 'G':
      return signed(flags, general(value, precision, verb));
    case 'c':
    case 'q':
    case 'U': {
      if (!Number.isInteger(value) || value < 0 || value > 0x10ffff) return undefined;
      const character = String.fromCodePoint(value);
      if (verb === 'U') return `U+${value.toString(16).toUpperCase().padStart(4, '0')}`;
      return verb === 'c'
        ? character
        : character === "'"
          ? "'\\''"
          : `'${quote(character).slice(1, -1).replace('\\"', '"')}'`;
    }
    default:
      return undefined;
  }
}

const RADIX: Readonly<Record<string, number>> = { d: 10, x: 16, X: 16, o: 8, b: 2 };

function signed(flags: string, text: string): string {
  if (text.startsWith('-')) return text;
  return flags.includes('+') ? `+${text}` : flags.includes(' ') ? ` ${text}` : text;
}

function fixed(value: number, precision: number): string {
  // toFixed gives up beyond 1e21 and 100 digits.
  if (Math.abs(value) >= 1e21) return `${BigInt(value)}${precision > 0 ? `.${'0'.repeat(precision)}` : ''}`;
  const text = value.toFixed(Math.min(precision, 100));
  return precision > 100 ? text + '0'.repeat(precision - 100) : text;
}

function exponent(text: string, verb: string): string {
  const padded = text.replace(/e([+-])(\d)$/, 'e$10$2');
  return verb === verb.toUpperCase() ? padded.toUpperCase() : padded;
}

function general(value: number, precision: number | undefined, verb: string): string {
  if (precision === undefined) {
    const text = show(value);
    return verb === 'G' ? text.toUpperCase() : text;
  }
  const digits = Math.min(Math.max(precision, 1), 100);
  const power = value === 0 ? 0 : Number(value.toExponential(digits - 1).split('e')[1]);
  if (power < -4 || power >= digits) {
    const [mantissa = '', rest = ''] = value.toExponential(digits - 1).split('e');
    return exponent(`${mantissa.replace(/\.?0+$/, '')}e${rest}`, verb);
  }
  return String(Number(value.toPrecision(digits)));
}
