import assert from 'node:assert/strict';
import test from 'node:test';
import type { FlagTable } from './flag-table.ts';
import { parseFlags } from './parse-flags.ts';
import { UsageError } from './usage-error.ts';

const table = {
  detach: { type: 'switch', short: 'd', help: '' },
  interactive: { type: 'switch', short: 'i', help: '' },
  tty: { type: 'switch', short: 't', help: '' },
  env: { type: 'list', short: 'e', help: '' },
  name: { type: 'text', help: '' },
  memory: { type: 'size', short: 'm', help: '' },
  'memory-swap': { type: 'size', minusOne: true, help: '' },
  network: { type: 'text', alias: 'net', choices: ['none', 'host'], help: '' },
  time: { type: 'seconds', short: 'T', help: '' },
  hostname: { type: 'text', short: 'h', help: '' },
} as const satisfies FlagTable;

const parse = (...args: string[]) => parseFlags(table, args, { interspersed: false });
const failure = (...args: string[]): string => {
  try {
    parse(...args);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    assert.equal(error.exitCode, 125);
    return error.message;
  }
  assert.fail(`${args.join(' ')} was accepted`);
};

test('parseFlags: every spelling of a value', () => {
  for (const args of [['--name', 'x'], ['--name=x']]) assert.equal(parse(...args).flags.name, 'x');
  for (const args of [['-m', '1k'], ['-m1k'], ['-m=1k'], ['--memory=1k'], ['--memory', '1k']])
    assert.equal(parse(...args).flags.memory, 1024);
  assert.equal(parse('--name=').flags.name, '');
  assert.equal(parse('--name', '-d').flags.name, '-d');
  assert.equal(parse('--name=a=b').flags.name, 'a=b');
});

test('parseFlags: bundled short flags, the last of which may take a value', () => {
  const { flags, positionals } = parse('-dit', '-eA=1', '-ie', 'B', 'IMAGE', '-d', '--name', 'x');
  assert.deepEqual([flags.detach, flags.interactive, flags.tty], [true, true, true]);
  assert.deepEqual(flags.env, ['A=1', 'B']);
  assert.deepEqual(positionals, ['IMAGE', '-d', '--name', 'x']);
  assert.equal(flags.name, undefined);
});

test('parseFlags: a switch takes a value only with an equals sign', () => {
  assert.equal(parse('--detach=false').flags.detach, false);
  assert.equal(parse('-d=true').flags.detach, true);
  const { flags, positionals } = parse('-d', 'false');
  assert.equal(flags.detach, true);
  assert.deepEqual(positionals, ['false']);
  assert.match(failure('--detach=maybe'), /expected true or false/);
});

test('parseFlags: the last of a repeated value counts, a list keeps all', () => {
  assert.equal(parse('--name', 'a', '--name', 'b').flags.name, 'b');
  assert.deepEqual(parse('-e', 'A', '--env', 'B').flags.env, ['A', 'B']);
  assert.deepEqual(parse().flags.env, []);
});

test('parseFlags: -- ends the flags, a lone dash is an argument, interspersed goes on after one', () => {
  assert.deepEqual(parse('-d', '--', '-i', 'x').positionals, ['-i', 'x']);
  assert.deepEqual(parse('-', '-d').positionals, ['-', '-d']);
  const mixed = parseFlags(table, ['a', '-d', 'b', '--', '-i'], { interspersed: true });
  assert.equal(mixed.flags.detach, true);
  assert.deepEqual(mixed.positionals, ['a', 'b', '-i']);
});

test('parseFlags: an unknown flag is an error that names the nearest', () => {
  assert.equal(failure('--nmae', 'x'), 'Cannot use --nmae: unknown flag; did you mean --name?');
  assert.equal(failure('--memory-swa=1'), 'Cannot use --memory-swa: unknown flag; did you mean --memory-swap?');
  assert.equal(failure('--quite-unlike-anything'), 'Cannot use --quite-unlike-anything: unknown flag');
  assert.equal(failure('-dx'), 'Cannot use -x in -dx: unknown flag');
  assert.equal(failure('-x'), 'Cannot use -x: unknown flag');
  assert.equal(failure('--constructor'), 'Cannot use --constructor: unknown flag');
});

test('parseFlags: bad and missing values are errors that name the flag as written', () => {
  assert.equal(failure('--memory', 'abc'), 'Cannot use --memory abc: expected a size like 512m or 2g');
  assert.match(failure('-m'), /^Cannot use -m: a value must follow/);
  assert.match(failure('--memory=-1'), /expected a size/);
  assert.equal(parse('--memory-swap=-1').flags['memory-swap'], -1);
  assert.match(failure('--net', 'bridge'), /^Cannot use --net bridge: expected none or host/);
  assert.match(failure('-T', '-1'), /whole number/);
});

test('parseFlags: an alias is its flag; -h is help only where no flag has it', () => {
  assert.equal(parse('--net=host').flags.network, 'host');
  assert.equal(parse('--help').help, true);
  assert.equal(parse('-h', 'box').flags.hostname, 'box');
  assert.equal(parseFlags({}, ['-h'], { interspersed: true }).help, true);
});
