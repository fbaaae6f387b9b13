import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { test } from 'node:test';
import { parseSignal, signalName } from './signals.ts';

test('parseSignal knows every signal of this machine by name, with and without SIG', () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    assert.equal(parseSignal(name), number, name);
    assert.equal(parseSignal(name.slice(3).toLowerCase()), number, name);
  }
});

test('parseSignal: numbers and real-time signals', () => {
  assert.deepEqual(
    ['9', '15', '64', 'RTMIN', 'SIGRTMIN+3', 'rtmax', 'SIGRTMAX-1'].map(parseSignal),
    [9, 15, 64, 34, 37, 64, 63],
  );
});

test('CVE-2026-30892: parseSignal takes the whole text or nothing', () => {
  for (const bad of [
    '',
    '0',
    '65',
    '9x',
    ' 9',
    '9 ',
    '-9',
    '0x9',
    'SIG',
    'SIGSIGTERM',
    'TERMX',
    'RTMIN+31',
    'RTMIN-1',
    'RTMAX+1',
    'RTMIN+',
    'constructor',
  ]) {
    assert.throws(() => parseSignal(bad), { kind: 'invalid' }, JSON.stringify(bad));
  }
});

test('signalName is what parseSignal reads back, for every number', () => {
  for (let signal = 1; signal <= 64; signal++) assert.equal(parseSignal(signalName(signal)), signal);
  assert.deepEqual([15, 34, 37, 64, 32].map(signalName), ['SIGTERM', 'SIGRTMIN', 'SIGRTMIN+3', 'SIGRTMAX', '32']);
});
