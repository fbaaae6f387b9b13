import type { Context } from '../context.ts';
import type { Flag, FlagTable } from '../flag-table.ts';
import { globalFlags } from '../globals.ts';
import { findVerb, groupMembers, groups, verbs } from '../verbs.ts';
import {
  containerNames,
  imageNames,
  networkNames,
  podNames,
  secretNames,
  type StateWish,
  volumeWords,
} from './names.ts';
import { flagNamed, walk } from './walk.ts';

/** One way to go on: the whole word, and what it means. */
export interface Candidate {
  readonly word: string;
  readonly meaning: string;
}

/** How a command line may go on. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Names of files, or of directories, are welcome. */
  readonly files?: 'files' | 'dirs';
  /** The candidates are beginnings of words: no space after them. */
  readonly open?: boolean;
}

type Source = Pick<Context, 'engine' | 'env'>;

const NOTHING: Completion = { candidates: [] };

/** Ways to go on after `words` (without the program's name), the last of which is being typed and may be empty. Never throws for what people type. */
export async function complete(source: Source, words: readonly string[]): Promise<Completion> {
  const current = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const start = walk(globalFlags, before, { interspersed: false });
  if (start.awaited !== undefined) return valueOf(source, start.awaited, current);
  if (start.positionals.length === 0) {
    return current.startsWith('-') ? flagsOf(source, globalFlags, current) : matching(verbCandidates(), current);
  }
  const named = before.slice(start.firstPositional);
  const [first = ''] = named;
  if (named.length === 1 && groups.includes(first)) {
    const members = groupMembers(first).map((name) => ({ word: name, meaning: summaryOf(first, name) }));
    return matching(members, current);
  }
  if (first === 'help') return named.length === 1 ? matching(verbCandidates(), current) : NOTHING;
  const found = findVerb(named);
  if (found === undefined) return NOTHING;
  const verb = await found.entry.load();
  const rest = found.rest;
  const place = walk(verb.flags, rest, { interspersed: verb.commandFollows !== true });
  if (place.awaited !== undefined) return valueOf(source, place.awaited, current);
  if (current.startsWith('-') && !place.ended) return flagsOf(source, verb.flags, current);
  const word = argumentAt(verb.usage, place.positionals.length);
  return argumentOf(source, word, current, { verb: found.entry.name, given: place.positionals });
}

/** Words that begin a command line. `image exists` is found below `image`. */
function verbCandidates(): Candidate[] {
  const plain = verbs
    .filter(({ name, group }) => group !== 'hidden' && !name.includes(' '))
    .map(({ name, summary }) => ({ word: name, meaning: summary }));
  const more = groups.filter((group) => !plain.some(({ word }) => word === group));
  return [
    ...plain,
    ...more.map((group) => ({ word: group, meaning: `Verbs that begin with ${group}` })),
    { word: 'help', meaning: 'Explain a verb' },
  ];
}

function summaryOf(group: string, name: string): string {
  return findVerb([group, name])?.entry.summary ?? '';
}

/** `--flag`, `-f`, and the value of `--flag=`. */
async function flagsOf(source: Source, table: FlagTable, current: string): Promise<Completion> {
  const equals = current.indexOf('=');
  if (equals > 0) {
    const flag = flagNamed(table, current.slice(0, equals));
    if (flag === undefined) return NOTHING;
    const prefix = current.slice(0, equals + 1);
    const values = await valueOf(source, flag, current.slice(equals + 1));
    return { ...values, candidates: values.candidates.map(({ word, meaning }) => ({ word: prefix + word, meaning })) };
  }
  const all = Object.entries(table).flatMap(([name, { short, help }]) => [
    { word: `--${name}`, meaning: help },
    ...(short === undefined || current !== '-' ? [] : [{ word: `-${short}`, meaning: help }]),
  ]);
  return matching([...all, { word: '--help', meaning: 'Explain the verb' }], current);
}

async function valueOf(source: Source, flag: Flag, current: string): Promise<Completion> {
  if (flag.type === 'switch') return matching(plain(['true', 'false']), current);
  if (flag.choices !== undefined) return matching(plain(flag.choices), current);
  if (flag.offers !== undefined) return offersOf(flag.offers, current);
  const value = flag.value ?? '';
  if (value === 'KEY[=VALUE]' && flag.help.includes('environment'))
    return matching(plain(Object.keys(source.env).filter((name) => source.env[name] !== undefined)), current);
  if (value === 'SIGNAL') return matching(plain(SIGNALS), current);
  // `json|table ...|TEMPLATE`: what is written small is meant as it stands.
  const words = value.split('|').map((word) => word.replace(/ \.\.\.$/, ''));
  const literal = words.filter((word) => /^[a-z0-9][a-z0-9-]*$/.test(word));
  if (literal.length > 0) return matching(plain(literal), current);
  if (value.startsWith('[HOST|NAME:]'))
    return /^[./]/.test(current)
      ? { candidates: [], files: 'files' }
      : { candidates: volumeWords(source.engine, current), files: 'files', open: true };
  if (/CONTAINER/.test(value) && !/HOST/.test(value)) return { candidates: containerNames(source.engine, current) };
  if (/^POD/.test(value)) return { candidates: await podNames(source.engine, current) };
  if (/^SECRET/.test(value)) return { candidates: secretNames(source.engine, current) };
  if (/^IMAGE/.test(value)) return { candidates: await imageNames(source.engine, current) };
  if (/^DIR/.test(value)) return { candidates: [], files: 'dirs' };
  return /^(FILE|PATH|HOST)/.test(value) ? { candidates: [], files: 'files' } : NOTHING;
}

const SIGNALS = ['TERM', 'KILL', 'HUP', 'INT', 'QUIT', 'USR1', 'USR2', 'STOP', 'CONT', 'WINCH'];

/** Keys first, and the values of a key when there is one. */
function offersOf(offers: readonly string[], current: string): Completion {
  if (current.includes('=')) return matching(plain(offers.filter((offer) => !offer.endsWith('='))), current);
  const keys = offers.map((offer) => (offer.includes('=') ? offer.slice(0, offer.indexOf('=') + 1) : offer));
  return { ...matching(plain([...new Set(keys)]), current), open: true };
}

/** The word of a usage line for an argument: the last one when it may be repeated. */
export function argumentAt(usage: string, index: number): string {
  const words = usage
    .split(' ')
    .filter((word) => word !== '' && word !== '[OPTIONS]')
    // `A:B | C:D`: other ways to call it; the first says enough.
    .slice(0, usage.includes(' | ') ? 2 : undefined);
  const last = words.at(-1) ?? '';
  return words[index] ?? (/\.\.\.\]*$/.test(last) ? last : '');
}

async function argumentOf(
  source: Source,
  word: string,
  current: string,
  how: { readonly verb: string; readonly given: readonly string[] },
): Promise<Completion> {
  const name = word.replace(/^\[+/, '').replace(/[\]]+$/, '');
  if (/^[a-z]/.test(name)) return matching(plain(name.split('|')), current);
  const isContainer = /CONTAINER|NAME\|ID|^ID\b/.test(name);
  const isImage = /IMAGE|REPOSITORY|NAME\|ID/.test(name);
  const candidates = [
    ...(isContainer ? containerNames(source.engine, current, wishOf(how.verb)) : []),
    ...(isImage ? await imageNames(source.engine, current) : []),
    ...(/SECRET/.test(name) ? secretNames(source.engine, current) : []),
    ...(/^POD/.test(name) ? await podNames(source.engine, current) : []),
    ...(/NETWORK/.test(name) ? await networkNames(source.engine, current) : []),
    ...(/^VOLUME/.test(name) ? volumeWords(source.engine, current) : []),
  ].filter((candidate) => !how.given.includes(candidate.word));
  const files = isImage ? /^\.{0,2}\//.test(current) : /FILE|PATH|DIR|ARCHIVE/.test(name);
  const starts =
    isImage && name.includes('host:') ? matching([{ word: 'host:', meaning: 'This machine' }], current).candidates : [];
  return { candidates: [...starts, ...candidates], ...(files ? { files: 'files' as const } : {}) };
}

/** Which containers a verb has something to do with. */
function wishOf(verb: string): StateWish {
  if (/^(kill|exec|attach|pause|top)$/.test(verb)) return 'up';
  if (verb === 'stop') return 'kept';
  if (verb === 'start') return 'down';
  if (verb === 'init') return 'unprepared';
  return verb === 'unpause' ? 'paused' : 'any';
}

function plain(words: readonly string[]): Candidate[] {
  return words.map((word) => ({ word, meaning: '' }));
}

function matching(candidates: readonly Candidate[], current: string): Completion {
  return { candidates: candidates.filter(({ word }) => word.startsWith(current)) };
}
