import { readFileSync } from 'node:fs';

/** So many ids from `first` on. */
export interface IdRange {
  readonly first: number;
  readonly count: number;
}

const MAX_ID = 0xffff_fffe;

/** The subordinate ids that /etc/subuid or /etc/subgid (subuid(5)) gives to a name, in the order of the file; none without the file. Lines that are damaged do not count. */
export function subIds(kind: 'uid' | 'gid', name: string): IdRange[] {
  try {
    return rangesOf(readFileSync(`/etc/sub${kind}`, 'utf8'), name);
  } catch {
    return [];
  }
}

/** The same from the text of such a file. */
export function rangesOf(text: string, name: string): IdRange[] {
  return text.split('\n').flatMap((line) => {
    const [owner, first = '', count = '', ...more] = line.trim().split(':');
    if (owner !== name || more.length > 0 || !/^\d{1,10}$/.test(first) || !/^\d{1,10}$/.test(count)) return [];
    const range = { first: Number(first), count: Number(count) };
    return range.count === 0 || range.first + range.count - 1 > MAX_ID ? [] : [range];
  });
}
