import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface Options {
  readonly rounds: number;
  readonly warmUp: number;
  /** Names of cases; empty: all. */
  readonly only: readonly string[];
  /** Where the JSON goes. */
  readonly json: string;
  /** A root made by tools/peers.ts. */
  readonly peers?: string;
}

/** The text of `--help`. */
export const usage = `usage: npm run bench -- [OPTION]…

Measures Tare, the installed peers and the floor in one run, in turn. Needs root.

  --rounds N        samples of each row (default 30); the parallel case takes an eighth, the memory cases one
  --only NAME,…     only these cases: CASES
  --quick           5 rounds and one warm-up: shows that it works, not how fast it is
  --peers DIR       measure inside a root made by tools/peers.ts, with the peers that are there
  --json FILE       where the figures go (default .cache/bench-DATE.json)
`;

/**
 * Parses the command line; `caseNames` are the cases there are. Relative paths are taken from `directory`.
 * Errors: Error with a message for the user.
 */
export function parseOptions(
  argv: readonly string[],
  caseNames: readonly string[],
  { directory, repository, now }: { readonly directory: string; readonly repository: string; readonly now: Date },
): Options | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rounds: { type: 'string' },
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      peers: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const rounds = values.rounds ?? (values.quick ? '5' : '30');
  if (!/^[1-9]\d{0,4}$/.test(rounds)) throw new Error(`--rounds takes a number from 1 to 99999, not '${rounds}'`);
  const only = (values.only ?? []).flatMap((names) => names.split(','));
  const unknown = only.find((name) => !caseNames.includes(name));
  if (unknown !== undefined) throw new Error(`there is no case '${unknown}': ${caseNames.join(', ')}`);
  const stamp = now
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '');
  return {
    rounds: Number(rounds),
    warmUp: values.quick ? 1 : 3,
    only,
    json:
      values.json === undefined ? join(repository, '.cache', `bench-${stamp}.json`) : resolve(directory, values.json),
    ...(values.peers === undefined ? {} : { peers: resolve(directory, values.peers) }),
  };
}
