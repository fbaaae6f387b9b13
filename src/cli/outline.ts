/** Nested data for people: `key: value` lines, indented; lists as lines of dashes. */
export function outline(value: object, indent = ''): string {
  let text = '';
  for (const [key, member] of Object.entries(value as Readonly<Record<string, unknown>>)) {
    if (member === undefined) continue;
    if (Array.isArray(member)) {
      text += `${indent}${key}:${member.length === 0 ? ' none' : ''}\n${member.map((item) => `${indent}  - ${String(item)}\n`).join('')}`;
    } else if (typeof member === 'object' && member !== null) {
      text += `${indent}${key}:\n${outline(member, `${indent}  `)}`;
    } else {
      text += `${indent}${key}: ${typeof member === 'string' ? member : JSON.stringify(member)}\n`;
    }
  }
  return text;
}
