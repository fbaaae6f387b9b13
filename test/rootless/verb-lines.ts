/** A command line for every verb of the table, made from its usage: a new verb has one at once, or says that a word of its usage is not known here. */
import { verbs, type VerbEntry } from '../../src/cli/verbs.ts';

/** What the lines are about. */
export type About = 'container' | 'image' | 'pod' | 'secret' | 'volume' | 'store';

export interface VerbLine {
  readonly verb: string;
  readonly about: About;
  readonly argv: readonly string[];
}

/** Verbs that use nobody's containers or images, each with what it does instead. */
export const elsewhere: Readonly<Record<string, string>> = {
  version: 'prints versions',
  completion: 'prints a script',
  __complete: 'offers what it can see, and never complains',
  login: "writes the user's own credentials",
  logout: "writes the user's own credentials",
  'network create': 'is for root so far, and says so',
  'network connect': 'needs a container in networks, which are for root so far',
  'network disconnect': 'needs a container in networks, which are for root so far',
  unshare: 'runs a program of the user’s',
  info: 'prints what is so',
  'system install-units': "writes a unit of the user's own",
};

/** What a word of a usage line may stand for, and what that is about. */
const words: Readonly<Record<string, readonly [value: string, about?: About]>> = {
  CONTAINER: ['c', 'container'],
  'NAME|ID': ['c', 'container'],
  'CONTAINER:PATH': ['c:/data/one', 'container'],
  ID: ['c', 'container'],
  IMAGE: ['localhost/theirs', 'image'],
  'IMAGE|host:[/PATH]': ['localhost/theirs', 'image'],
  'FILE|URL|-': ['FILE', 'store'],
  'FILE|-': ['FILE', 'store'],
  SECRET: ['s', 'secret'],
  NETWORK: ['web'],
  VOLUME: ['v', 'volume'],
  POD: ['p', 'pod'],
  'PATH|-': ['-'],
  COMMAND: ['true'],
  NAME: ['other'],
  plan: ['plan'],
};

/** Without these it would ask, wait, or want a file. */
const flags: Readonly<Record<string, readonly string[]>> = {
  run: ['--pull=never'],
  create: ['--pull=never'],
  stop: ['-t', '0'],
  restart: ['-t', '0'],
  events: ['--stream=false'],
  stats: ['--no-stream'],
  export: ['-o', 'OUT'],
  'volume export': ['-o', 'OUT'],
  'volume prune': ['-f'],
  save: ['-o', 'OUT'],
  load: ['-i', 'FILE'],
  pull: ['-q'],
  update: ['--pids-limit=100'],
  'container prune': ['-f'],
  'image prune': ['-f'],
  'system prune': ['-f'],
  'network prune': ['-f'],
  'pod prune': ['-f'],
  'pod stats': ['--no-stream'],
  inspect: ['--type=container'],
};

/** `files.archive` is one that can be read, `files.out` a place to write. Errors: Error for a usage that is not understood. */
export async function verbLines(files: { readonly archive: string; readonly out: string }): Promise<VerbLine[]> {
  const lines = await Promise.all(verbs.filter(({ name }) => !Object.hasOwn(elsewhere, name)).map(linesOf));
  return lines.flat().map(({ argv, ...line }) => ({
    ...line,
    argv: argv.map((word) => (word === 'FILE' ? files.archive : word === 'OUT' ? files.out : word)),
  }));
}

async function linesOf(entry: VerbEntry): Promise<VerbLine[]> {
  const { usage } = await entry.load();
  // `A B | C D`: two ways.
  return usage.split(' | ').map((way) => {
    const values = wordsOf(way).map((word) => {
      const value = Object.hasOwn(words, word) ? words[word] : undefined;
      if (value === undefined)
        throw new Error(
          `tare ${entry.name}: ${word} of its usage is not known: say in verb-lines.ts what stands for it`,
        );
      return value;
    });
    return {
      verb: entry.name,
      about: values.find(([, about]) => about !== undefined)?.[1] ?? 'store',
      argv: [...entry.name.split(' '), ...(flags[entry.name] ?? []), ...values.map(([value]) => value)],
    };
  });
}

/** The words that are needed, and a container or image that may be named. */
function wordsOf(way: string): string[] {
  const named = way.replace(/^\[OPTIONS\] ?/, '').replace(/^\[(CONTAINER|NAME\|ID|IMAGE|POD)\b(.*)\]$/, '$1');
  return named
    .replaceAll(/(?<=^|\s)\[[^ ]*(?: [^\]]*)?\]+/g, '')
    .split(/\s+/)
    .filter(Boolean);
}
