import { type Flag, type FlagTable, findLong, findShort } from '../flag-table.ts';

/** Where a command line has come to. */
export interface Place {
  readonly positionals: readonly string[];
  /** Index in the words of the first positional, or their number when there is none. */
  readonly firstPositional: number;
  /** The flag whose value comes next. */
  readonly awaited?: Flag;
  /** No flag may follow: `--` was given, or what comes belongs to the container. */
  readonly ended: boolean;
}

/** Walks over finished words as `parseFlags` does, and is content with anything: people are still typing. */
export function walk(table: FlagTable, words: readonly string[], how: { readonly interspersed: boolean }): Place {
  const positionals: string[] = [];
  let firstPositional = words.length;
  let ended = false;
  let awaited: Flag | undefined;
  words.forEach((word, index) => {
    if (awaited !== undefined) {
      awaited = undefined;
    } else if (!ended && word === '--') {
      ended = true;
    } else if (!ended && word.startsWith('-') && word.length > 1) {
      awaited = flagAwaiting(table, word);
    } else {
      if (positionals.length === 0) firstPositional = index;
      positionals.push(word);
      if (!how.interspersed) ended = true;
    }
  });
  return { positionals, firstPositional, ended, ...(awaited === undefined ? {} : { awaited }) };
}

/** The flag of a word whose value is the next word. */
function flagAwaiting(table: FlagTable, word: string): Flag | undefined {
  if (word.includes('=')) return undefined;
  if (word.startsWith('--')) {
    const flag = flagNamed(table, word);
    return flag?.type === 'switch' ? undefined : flag;
  }
  for (let at = 1; at < word.length; at++) {
    const name = findShort(table, word.charAt(at));
    const flag = name === undefined ? undefined : table[name];
    if (flag === undefined || flag.type === 'switch') continue;
    // `-eA`: the rest of the word is its value.
    return at === word.length - 1 ? flag : undefined;
  }
  return undefined;
}

/** The flag of `--name`, or undefined. */
export function flagNamed(table: FlagTable, word: string): Flag | undefined {
  const name = findLong(table, word.slice(2));
  return name === undefined ? undefined : table[name];
}
