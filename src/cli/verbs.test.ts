import assert from 'node:assert/strict';
import test from 'node:test';
import type { FlagTable } from './flag-table.ts';
import { globalFlags } from './globals.ts';
import { flagName, overview, verbHelp } from './help.ts';
import { parseFlags } from './parse-flags.ts';
import { findVerb, verbs } from './verbs.ts';

const tables = async (): Promise<[string, FlagTable][]> => [
  ['tare', globalFlags],
  ...(await Promise.all(
    verbs.map(async (entry): Promise<[string, FlagTable]> => [entry.name, (await entry.load()).flags]),
  )),
];

test('flag tables: letters and aliases are unique, helps are one line, defaults are accepted values', async () => {
  for (const [verb, table] of await tables()) {
    const names = Object.entries(table).flatMap(([name, flag]) => [
      name,
      ...(flag.alias === undefined ? [] : [flag.alias]),
    ]);
    const letters = Object.values(table).flatMap((flag) => flag.short ?? []);
    assert.equal(new Set(names).size, names.length, verb);
    assert.equal(new Set(letters).size, letters.length, verb);
    for (const [name, flag] of Object.entries(table)) {
      assert.match(flag.help, /^[^\n]*[^\n.]$/, `${verb} --${name}`);
      if (flag.short !== undefined) assert.match(flag.short, /^[a-zA-Z]$/);
      if (flag.choices !== undefined && flag.standard !== undefined)
        assert.ok(flag.choices.includes(flag.standard), `${verb} --${name}`);
    }
  }
});

test('examples of every verb parse and stay within its arguments', async () => {
  for (const entry of verbs) {
    const verb = await entry.load();
    assert.ok(verb.examples.length > 0, entry.name);
    for (const [line] of verb.examples) {
      const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
      const found = findVerb(words);
      assert.equal(found?.entry.name, entry.name, line);
      const { positionals } = parseFlags(verb.flags, found.rest, { interspersed: verb.commandFollows !== true });
      assert.ok(positionals.length >= verb.args.min && positionals.length <= (verb.args.max ?? Infinity), line);
    }
  }
});

test('help: names every flag and every verb but the hidden', async () => {
  const all = overview();
  for (const entry of verbs) {
    assert.equal(all.includes(`\n  ${entry.name} `), entry.group !== 'hidden', entry.name);
    const verb = await entry.load();
    const text = verbHelp(entry, verb);
    for (const [name, flag] of Object.entries(verb.flags))
      assert.ok(text.includes(flagName(name, flag)), `${entry.name} --${name}`);
  }
});

test('findVerb: docker group names lead to the same verbs', () => {
  const name = (...words: string[]) => findVerb(words)?.entry.name;
  assert.equal(name('container', 'ls'), 'ps');
  assert.equal(name('container', 'run'), 'run');
  assert.equal(name('image', 'rm'), 'rmi');
  assert.deepEqual(findVerb(['image', 'inspect', 'x'])?.rest, ['--type=image', 'x']);
  assert.deepEqual(findVerb(['ps', '-a'])?.rest, ['-a']);
  for (const words of [
    ['container'],
    ['image', 'run'],
    ['container', 'toString'],
    ['nothing'],
    ['constructor'],
    ['container', 'pull'],
  ]) {
    assert.equal(findVerb(words), undefined, words.join(' '));
  }
});
