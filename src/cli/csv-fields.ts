import { UsageError } from './usage-error.ts';

/** RFC 4180 for one line: a field may stand in double quotes, in which a doubled quote is one. Errors: UsageError. */
export function csvFields(shown: string, text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      let field = '';
      for (at++; ; at++) {
        if (at >= text.length) throw new UsageError(`Cannot use ${shown}: a quote is not closed`);
        if (text[at] !== '"') field += text[at];
        else if (text[at + 1] === '"') field += text[++at];
        else break;
      }
      fields.push(field);
      at++;
      if (at < text.length && text[at] !== ',')
        throw new UsageError(`Cannot use ${shown}: text follows a closing quote`);
    } else {
      const comma = text.indexOf(',', at);
      const end = comma < 0 ? text.length : comma;
      fields.push(text.slice(at, end));
      at = end;
    }
    if (at >= text.length) return fields.filter((field) => field !== '');
    at++;
  }
}
