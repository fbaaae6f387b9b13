/**
 * Reads a table: names in the order of their numbers, from 0, separated by spaces; "@N" says that the next one has number N (a number may be named
 * twice). `base` is added to every number.
 */
export function parseSyscalls(table: string, base: number): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  let next = 0;
  for (const word of table.split(' ')) {
    if (word.startsWith('@')) next = Number(word.slice(1));
    else numbers.set(word, base + next++);
  }
  return numbers;
}
