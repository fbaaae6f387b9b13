import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gist } from './gist.ts';

test('gist finds the message above a stack trace', () => {
  const stderr =
    "node:internal/x:1\n  throw e;\n\nError: Cannot find module '/x'\n    at y (z:1)\n  code: 1\n}\n\nNode.js v26.10.0\n";
  assert.equal(gist(stderr), "Error: Cannot find module '/x'");
});

test('gist takes the last line of a text without errors, and says so when there is none', () => {
  assert.equal(gist('warming\nno such thing\n'), 'no such thing');
  assert.equal(gist('\n'), '(no message)');
});
