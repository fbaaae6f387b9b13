import type { Engine } from '../engine/engine.ts';
import { type Context, type Host, streams } from './context.ts';
import { errorText, exitCodeOf } from './failure.ts';
import { type GlobalValues, engineOptions, globalFlags } from './globals.ts';
import { parseFlags } from './parse-flags.ts';
import { UsageError } from './usage-error.ts';
import type { Verb } from './verb.ts';
import { type VerbEntry, findVerb, groupMembers, groups, verbs } from './verbs.ts';

/** Runs one command line (without the program's name) and returns its exit code. Never throws: errors are printed as `Error: ...`. */
export async function runCommandLine(argv: readonly string[], host: Host): Promise<number> {
  let debug = false;
  let fallback = 125;
  try {
    const { flags: globals, positionals: words, help } = parseFlags(globalFlags, argv, { interspersed: false });
    debug = globals.debug === true || globals['log-level'] === 'debug';
    if (globals.version === true) {
      const { packageVersion } = await import('./version.ts');
      streams.print(`tare version ${packageVersion(host.packageDir)}\n`);
      return 0;
    }
    const [first, ...others] = words;
    if (first === undefined || first === 'help' || help) return await printHelp(first === 'help' ? others : words);
    const found = findVerb(words);
    if (found === undefined) return await unknownVerb(words);
    const verb = await found.entry.load();
    fallback = verb.errorCode ?? 1;
    const parsed = parseFlags(verb.flags, found.rest, { interspersed: verb.commandFollows !== true });
    if (parsed.help) return await printVerbHelp(found.entry, verb);
    checkCount(found.entry, verb, parsed.positionals.length);
    return await verb.run(await makeContext(globals, host, debug), parsed.flags, parsed.positionals);
  } catch (error) {
    const code = exitCodeOf(error, fallback);
    if (code !== 141) streams.complain(errorText(error, debug));
    return code;
  }
}

async function makeContext(globals: GlobalValues, host: Host, debug: boolean): Promise<Context> {
  const { createEngine } = await import('../engine/engine.ts');
  let engine: Engine | undefined;
  const quiet = globals['log-level'] === 'error';
  return {
    ...host,
    ...streams,
    debug,
    get engine() {
      engine ??= createEngine(engineOptions(globals, host));
      return engine;
    },
    warn(messages) {
      if (!quiet) for (const message of messages) streams.complain(`Warning: ${message}\n`);
    },
    inform(message) {
      if (debug || globals['log-level'] === 'info') streams.complain(`${message}\n`);
    },
  };
}

function checkCount(entry: VerbEntry, verb: Verb, count: number): void {
  const { min, max } = verb.args;
  if (count >= min && (max === undefined || count <= max)) return;
  const wanted = max === undefined ? `at least ${min}` : min === max ? String(min) : `${min} to ${max}`;
  const noun = wanted.endsWith(' 1') || wanted === '1' ? 'argument' : 'arguments';
  const want = wanted === '0' ? 'no' : wanted;
  throw new UsageError(
    `Cannot run tare ${entry.name}: it takes ${want} ${noun}, not ${count} (see tare ${entry.name} --help)`,
  );
}

async function printHelp(words: readonly string[]): Promise<number> {
  const [first] = words;
  const help = await import('./help.ts');
  if (first === undefined) {
    streams.print(help.overview());
    return 0;
  }
  const found = findVerb(words);
  if (found !== undefined) return printVerbHelp(found.entry, await found.entry.load());
  if (groups.includes(first)) {
    streams.print(help.groupHelp(first));
    return 0;
  }
  return unknownVerb(words);
}

async function printVerbHelp(entry: VerbEntry, verb: Verb): Promise<number> {
  const { verbHelp } = await import('./help.ts');
  streams.print(verbHelp(entry, verb));
  return 0;
}

async function unknownVerb(words: readonly string[]): Promise<number> {
  const [first = '', second] = words;
  const isGroup = groups.includes(first);
  if (isGroup && (second === undefined || second === '--help' || second === '-h')) {
    const { groupHelp } = await import('./help.ts');
    streams.print(groupHelp(first));
    return second === undefined ? 125 : 0;
  }
  const { nearest } = await import('./nearest.ts');
  const known = isGroup
    ? groupMembers(first)
    : [...verbs.filter((verb) => verb.group !== 'hidden').map(({ name }) => name), ...groups];
  const word = isGroup ? (second ?? '') : first;
  const guess = nearest(word, known);
  throw new UsageError(
    `Cannot run tare ${isGroup ? `${first} ${word}` : word}: unknown verb${guess === undefined ? ' (see tare help)' : `; did you mean ${guess}?`}`,
  );
}
