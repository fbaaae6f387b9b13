import assert from 'node:assert/strict';
import test from 'node:test';
import { DetachScanner, parseDetachKeys } from './detach-keys.ts';
import { UsageError } from './usage-error.ts';

/** Feeds chunks and tells what was passed on, and whether it detached. */
function feed(keys: string, ...chunks: string[]): { passed: string; detached: boolean } {
  const scanner = new DetachScanner(parseDetachKeys(keys));
  let passed = '';
  for (const chunk of chunks) {
    const { pass, detached } = scanner.feed(Buffer.from(chunk, 'latin1'));
    passed += Buffer.from(pass).toString('latin1');
    if (detached) return { passed, detached };
  }
  return { passed, detached: false };
}

test('parseDetachKeys: control keys, plain keys, none', () => {
  assert.deepEqual([...parseDetachKeys('ctrl-p,ctrl-q')], [16, 17]);
  assert.deepEqual([...parseDetachKeys('ctrl-@,ctrl-[,ctrl-_,a,Q')], [0, 27, 31, 97, 81]);
  assert.deepEqual([...parseDetachKeys('')], []);
  for (const text of ['ctrl-', 'ctrl-pp', 'alt-x', 'é', 'a,,b', ','])
    assert.throws(() => parseDetachKeys(text), UsageError, text);
});

test('DetachScanner: finds the sequence in one chunk or many, drops what follows', () => {
  assert.deepEqual(feed('ctrl-p,ctrl-q', 'ab\x10\x11cd'), { passed: 'ab', detached: true });
  assert.deepEqual(feed('ctrl-p,ctrl-q', 'ab\x10', '\x11'), { passed: 'ab', detached: true });
});

test('DetachScanner: a partial sequence is passed on when the next key decides against it', () => {
  assert.deepEqual(feed('ctrl-p,ctrl-q', '\x10', 'x'), { passed: '\x10x', detached: false });
  assert.deepEqual(feed('ctrl-p,ctrl-q', '\x10\x10\x11'), { passed: '\x10', detached: true });
  assert.deepEqual(feed('a,a,b', 'aaab'), { passed: 'a', detached: true });
  assert.deepEqual(feed('a,b,a,c', 'ababac'), { passed: 'ab', detached: true });
  assert.deepEqual(feed('a,b,a,c', 'abaxabac'), { passed: 'abax', detached: true });
});

test('DetachScanner: without keys everything passes', () => {
  assert.deepEqual(feed('', '\x10\x11'), { passed: '\x10\x11', detached: false });
});

test('DetachScanner: passed bytes and sequence together are what was typed (all short inputs)', () => {
  // Over the alphabet {a, b}: whatever the scanner holds back at the end is a proper beginning of the sequence.
  const sequence = 'aab';
  for (let length = 1; length <= 8; length++) {
    for (let bits = 0; bits < 2 ** length; bits++) {
      const typed = Array.from({ length }, (_, i) => ((bits >> i) & 1 ? 'a' : 'b')).join('');
      const { passed, detached } = feed('a,a,b', ...typed);
      const at = typed.indexOf(sequence);
      assert.equal(detached, at >= 0, typed);
      if (detached) assert.equal(passed, typed.slice(0, at), typed);
      else assert.ok(typed.startsWith(passed) && sequence.startsWith(typed.slice(passed.length)), typed);
    }
  }
});
