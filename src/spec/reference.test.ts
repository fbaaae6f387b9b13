import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import {
  familiarReference,
  formatReference,
  parseReference,
  parseTag,
  repositoryName,
  withDefaultTag,
} from './reference.ts';

const digest = `sha256:${'ab'.repeat(32)}`;

test('parseReference() fills in docker.io and library/ as docker does', () => {
  const cases: Record<string, string> = {
    busybox: 'docker.io/library/busybox',
    'busybox:1.36': 'docker.io/library/busybox:1.36',
    'user/tool': 'docker.io/user/tool',
    'docker.io/busybox': 'docker.io/library/busybox',
    'index.docker.io/busybox': 'docker.io/library/busybox',
    'localhost/x': 'localhost/x',
    'localhost:5000': 'docker.io/library/localhost:5000',
    'localhost:5000/x:y': 'localhost:5000/x:y',
    'quay.io/a/b/c': 'quay.io/a/b/c',
    'Host/x': 'Host/x',
    '[::1]:5000/x': '[::1]:5000/x',
    'a.b/c__d/e--f.g:T_1.x-': 'a.b/c__d/e--f.g:T_1.x-',
    [`busybox@${digest}`]: `docker.io/library/busybox@${digest}`,
    [`x.y:1/z:t@${digest}`]: `x.y:1/z:t@${digest}`,
  };
  for (const [text, full] of Object.entries(cases)) assert.equal(formatReference(parseReference(text)), full, text);
});

test('parseReference() refuses what docker refuses', () => {
  const bad = [
    '',
    ':x',
    '/x',
    'x/',
    'x//y',
    'Busybox',
    'user/Tool',
    'x:',
    'x:.tag',
    'x:-tag',
    `x:${'a'.repeat(129)}`,
    'x@',
    'x@sha256:abc',
    `x@${digest}@${digest}`,
    `x@${digest.toUpperCase()}`,
    'x y',
    'x\n',
    '../x',
    'a..b',
    'a___b',
    'x._y',
    '-a/b',
    'host-.io/x',
    'host:99999/x',
    'host:/x',
    'host:5x/y',
    '[::1/x',
    'ab'.repeat(32),
    'https://host.io/x',
    'x?y',
    'x%2fy',
    `h.io/${'a'.repeat(256)}`,
    `${'a.'.repeat(200)}io/x`,
  ];
  for (const text of bad)
    assert.throws(
      () => parseReference(text),
      (error) => isKind(error, 'invalid'),
      text,
    );
});

test('parseReference() says that a repository must be lower case, and escapes what it prints', () => {
  assert.throws(() => parseReference('user/Tool'), /must be lower case/);
  assert.throws(
    () => parseReference('a\u001b[31m'),
    (error: Error) => !error.message.includes('\u001b'),
  );
});

test('withDefaultTag() adds latest only to a bare name', () => {
  assert.equal(formatReference(withDefaultTag(parseReference('busybox'))), 'docker.io/library/busybox:latest');
  assert.equal(formatReference(withDefaultTag(parseReference('busybox:1'))), 'docker.io/library/busybox:1');
  assert.equal(
    formatReference(withDefaultTag(parseReference(`busybox@${digest}`))),
    `docker.io/library/busybox@${digest}`,
  );
});

test('familiarReference() is short and keeps the domain where leaving it out would change the meaning', () => {
  const cases: Record<string, string> = {
    'docker.io/library/busybox:1': 'busybox:1',
    'docker.io/user/tool': 'user/tool',
    'docker.io/library/a/b': 'library/a/b',
    'docker.io/foo.bar/baz': 'docker.io/foo.bar/baz',
    'docker.io/localhost/baz': 'docker.io/localhost/baz',
    'quay.io/library/x': 'quay.io/library/x',
  };
  for (const [full, short] of Object.entries(cases)) assert.equal(familiarReference(parseReference(full)), short);
});

/** Numbers in a fixed order, so that a failure can be repeated. */
function* random(seed: number): Generator<number, never> {
  for (let x = seed; ;) {
    x = (x * 1103515245 + 12345) & 0x7fffffff;
    yield x >> 8;
  }
}

test('parseReference() on 30,000 random texts: an equal reference after both ways of writing, or an error of kind invalid', () => {
  const parts = [
    'a',
    'b9',
    'A',
    '.',
    ':',
    '/',
    '-',
    '_',
    '@',
    'localhost',
    'docker.io',
    'library',
    'latest',
    '5000',
    digest,
    'ff'.repeat(32),
    '[::1]',
    ' ',
    '\u00e9',
    '%',
  ];
  const numbers = random(7);
  let parsed = 0;
  for (let i = 0; i < 30_000; i++) {
    let text = '';
    for (let n = 1 + (numbers.next().value % 7); n > 0; n--) text += parts[numbers.next().value % parts.length];
    let reference;
    try {
      reference = parseReference(text);
    } catch (error) {
      assert.ok(isKind(error, 'invalid'), text);
      continue;
    }
    parsed++;
    assert.deepEqual(parseReference(formatReference(reference)), reference, text);
    assert.deepEqual(parseReference(familiarReference(reference)), reference, text);
    assert.match(encodeURI(repositoryName(reference)), /^[\w.:/[\]%-]+$/);
  }
  assert.ok(parsed > 1000, `only ${parsed} texts were references`);
});

test('parseReference() answers at once on texts made to make regular expressions slow', () => {
  const started = performance.now();
  for (const text of [
    `${'a-'.repeat(500)}!`,
    `${'a.'.repeat(120)}!/x`,
    `${'a__'.repeat(300)}!`,
    `x/${'a'.repeat(250)}!`,
    `${'a-'.repeat(120)}.io/x!`,
  ]) {
    assert.throws(() => parseReference(text));
    assert.throws(() => parseTag(text));
  }
  assert.ok(performance.now() - started < 200);
});
