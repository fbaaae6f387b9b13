/** Changes of an image's config in the words of a Dockerfile: `--change` of `commit` and `import`. */
import { TareError } from '../base/errors.ts';
import { shown } from './_document.ts';
import { parseImageUser } from './image-config.ts';
import { parseSignal } from './signals.ts';

/** The `config` object of an image config as it is written: image-spec config.md and Docker's additions, with fields of whoever made it. */
export type ProcessDocument = Readonly<Record<string, unknown>>;

/** The instructions that `--change` takes. */
export const changeInstructions = 'CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER VOLUME WORKDIR'.split(' ');

const MAX_PORTS = 65_536;

/**
 * The config after each of `changes`: `CMD ["a"]`, `ENV A=b C="d e"`, `USER=1000` (podman writes `=` for the first space). Values are data: no variable is expanded.
 * An ENTRYPOINT drops a CMD that none of the changes set, as in a build.
 *
 * Errors: `invalid`, naming the change.
 */
export function changeImageProcess(process: ProcessDocument, changes: readonly string[]): ProcessDocument {
  let result: Record<string, unknown> = { ...process };
  let hasCommand = false;
  for (const change of changes) {
    const match = /^\s*([A-Za-z]+)(?:(?:\s+|=)(.*))?$/s.exec(change);
    const instruction = match?.[1]?.toUpperCase() ?? '';
    const value = match?.[2]?.trim() ?? '';
    const fail = (state: string): TareError =>
      new TareError('invalid', `Cannot apply change ${shown(change)}: ${state}`);
    if (!changeInstructions.includes(instruction))
      throw fail(`expected one of ${changeInstructions.join(', ')} and a value`);
    if (value.includes('\0')) throw fail('it has a NUL character');
    if (value === '' && instruction !== 'CMD' && instruction !== 'ENTRYPOINT' && instruction !== 'USER')
      throw fail('a value must follow');
    if (instruction === 'ENTRYPOINT' && !hasCommand) delete result['Cmd'];
    if (instruction === 'CMD') hasCommand = true;
    result = { ...result, ...changed(result, instruction, value, fail) };
  }
  return result;
}

function changed(
  process: ProcessDocument,
  instruction: string,
  value: string,
  fail: (state: string) => TareError,
): Record<string, unknown> {
  switch (instruction) {
    case 'CMD':
      return { Cmd: commandOf(process, value, fail) };
    case 'ENTRYPOINT':
      return { Entrypoint: commandOf(process, value, fail) };
    case 'ENV':
      return { Env: withVariables(process['Env'], pairsOf(value, fail)) };
    case 'LABEL':
      return { Labels: { ...objectOf(process['Labels']), ...Object.fromEntries(pairsOf(value, fail)) } };
    case 'EXPOSE':
      return { ExposedPorts: { ...objectOf(process['ExposedPorts']), ...setOf(portsOf(value, fail)) } };
    case 'VOLUME': {
      const paths = jsonWords(value) ?? wordsOf(value, fail);
      if (paths.some((path) => path === '')) throw fail('a volume is empty');
      return { Volumes: { ...objectOf(process['Volumes']), ...setOf(paths) } };
    }
    case 'ONBUILD':
      return { OnBuild: [...listOf(process['OnBuild']), value] };
    case 'STOPSIGNAL':
      parseSignal(value);
      return { StopSignal: value };
    case 'USER':
      parseImageUser(value, 'USER');
      return { User: value };
    default: {
      const before = process['WorkingDir'];
      const from = value.startsWith('/') ? '' : `${typeof before === 'string' ? before : ''}/`;
      return { WorkingDir: cleaned(`${from}${value}`) };
    }
  }
}

/** A JSON list is the command itself; anything else goes to a shell. */
function commandOf(process: ProcessDocument, value: string, fail: (state: string) => TareError): string[] | null {
  if (value === '') return null;
  const words = jsonWords(value);
  if (words !== undefined) return words.length === 0 ? null : words;
  if (value.startsWith('[')) throw fail('it is not a JSON list of words');
  const shell = listOf(process['Shell']);
  return [...(shell.length === 0 ? ['/bin/sh', '-c'] : shell), value];
}

function jsonWords(value: string): string[] | undefined {
  if (!value.startsWith('[')) return undefined;
  try {
    const list: unknown = JSON.parse(value);
    return Array.isArray(list) && list.every((word) => typeof word === 'string') ? (list as string[]) : undefined;
  } catch {
    return undefined;
  }
}

/** `A=b "C=d e"`, or docker's old `A b c` for one. */
function pairsOf(value: string, fail: (state: string) => TareError): [name: string, value: string][] {
  const words = wordsOf(value, fail);
  const first = words[0] ?? '';
  if (!first.includes('=')) {
    const rest = value.slice(/^\S+\s*/.exec(value)?.[0].length ?? 0);
    if (rest === '') throw fail('expected NAME=VALUE');
    return [[first, rest]];
  }
  return words.map((word) => {
    const at = word.indexOf('=');
    if (at <= 0) throw fail(`${shown(word)} is not NAME=VALUE`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

/** Words as a shell splits them: quotes and backslashes, nothing else. */
function wordsOf(value: string, fail: (state: string) => TareError): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < value.length; i++) {
    const char = value[i] ?? '';
    if (char === '\\' && quote !== "'" && i + 1 < value.length) word = (word ?? '') + (value[++i] ?? '');
    else if (quote !== '') {
      if (char === quote) quote = '';
      else word = (word ?? '') + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') throw fail('a quote has no end');
  if (word !== undefined) words.push(word);
  return words;
}

function withVariables(env: unknown, pairs: readonly (readonly [string, string])[]): string[] {
  const result = listOf(env);
  for (const [name, value] of pairs) {
    const at = result.findIndex((entry) => entry.startsWith(`${name}=`));
    if (at < 0) result.push(`${name}=${value}`);
    else result[at] = `${name}=${value}`;
  }
  return result;
}

/** `80`, `53/udp`, `8000-8010/tcp`. */
function portsOf(value: string, fail: (state: string) => TareError): string[] {
  return wordsOf(value, fail).flatMap((word) => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(word);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? match?.[1]);
    if (match === null || first < 1 || last < first || last >= MAX_PORTS)
      throw fail(`${shown(word)} is no port, like 80, 53/udp or 8000-8010`);
    const protocol = (match[3] ?? 'tcp').toLowerCase();
    return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
  });
}

function cleaned(path: string): string {
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  return `/${kept.join('/')}`;
}

function listOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : [];
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function setOf(keys: readonly string[]): Record<string, object> {
  return Object.fromEntries(keys.map((key) => [key, {}]));
}
