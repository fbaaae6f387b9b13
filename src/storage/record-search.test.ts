import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { recordsMentioning } from './record-search.ts';

const id = (n: number): string => n.toString(16).padStart(64, '0');
const records = Array.from({ length: 50 }, (_, n) => ({
  id: id(n),
  names: [`docker.io/library/image-${n}:latest`, 'odd "},{"id":" name', `back\\slash-${n}`, `é-${n}`],
  layer: id(n % 7),
  flags: { nested: [{ id: 'x' }] },
}));
const bytes = Buffer.from(JSON.stringify(records));
const dir = mkdtempSync(join(tmpdir(), 'tare-search-'));
after(() => rmSync(dir, { recursive: true }));

/** Searches a file with these contents. */
function search(contents: string | Uint8Array, needle: string): ReturnType<typeof recordsMentioning> {
  const path = join(dir, 'list.json');
  writeFileSync(path, contents);
  return recordsMentioning(path, needle, false);
}

const find = (literal: string): string[] | undefined =>
  search(bytes, JSON.stringify(literal).slice(1, -1))?.map((row) => row.id);

test('recordsMentioning finds the records whose JSON has the text, each once', () => {
  assert.deepEqual(find('image-17:latest'), [id(17)]);
  assert.deepEqual(find(id(9)), [id(9)]);
  assert.deepEqual(
    find(id(0)),
    records.filter(({ layer }) => layer === id(0)).map((record) => record.id),
  );
  assert.deepEqual(find('back\\slash-3'), [3, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39].map(id));
  assert.deepEqual(find('é-49'), [id(49)]);
  assert.deepEqual(find('odd "},{"id":" name')?.length, records.length);
  assert.deepEqual(find('nowhere'), []);
});

test('recordsMentioning comes to an end, whatever it looks for', () => {
  assert.deepEqual(find('')?.length, records.length);
  assert.deepEqual(
    search(bytes, ']')?.map((row) => row.id),
    records.map(({ id: each }) => each),
  );
  assert.deepEqual(search(bytes, '[')?.[0]?.id, id(0));
  for (const needle of ['{', '}', ',', '},{', '}]', '"', '[{', 'é'])
    assert.ok((search(bytes, needle)?.length ?? 0) <= records.length, needle);
});

test('recordsMentioning finds the same wherever the pieces it reads end', () => {
  const path = join(dir, 'pieces.json');
  const idsIn = (needle: string): string[] | undefined => recordsMentioning(path, needle, false)?.map((row) => row.id);
  assert.deepEqual(idsIn('x'), [], 'no file');
  const piece = 128 * 1024;
  // The first record ends just before, at and after the end of a piece; one is longer than any piece.
  for (const length of [0, 1, piece / 2, ...Array.from({ length: 40 }, (_, n) => piece - 110 + n), 3 * piece]) {
    const list = [
      { id: id(1), names: ['first'], filler: 'f'.repeat(length) },
      ...records.slice(2),
      { id: id(99), names: ['last'] },
    ];
    writeFileSync(path, JSON.stringify(list));
    assert.deepEqual(idsIn('first'), [id(1)], `${length}`);
    assert.deepEqual(idsIn('last'), [id(99)], `${length}`);
    assert.deepEqual(idsIn(id(9)), [id(9)], `${length}`);
    // What is looked for begins in one piece and ends in the next.
    assert.deepEqual(idsIn('image-2:latest'), [id(2)], `${length}`);
    assert.deepEqual(idsIn('nowhere'), []);
    assert.equal(idsIn('"id"')?.length, list.length, `${length}`);
  }
  for (const empty of ['', '[]', 'null']) {
    writeFileSync(path, empty);
    assert.deepEqual(idsIn('x'), [], empty);
  }
  const json = JSON.stringify(records);
  for (const odd of [`[ ${json.slice(1)}`, `${json}\n`, json.slice(0, -1), json.slice(0, -5), '{', ` ${json}`]) {
    writeFileSync(path, odd);
    assert.equal(idsIn(id(49)), undefined, odd.slice(0, 20));
  }
});

test('recordsMentioning reads empty lists, and leaves what is written another way to a parser', () => {
  for (const text of ['', '[]', 'null']) assert.deepEqual(search(Buffer.from(text), 'x'), []);
  const spaced = Buffer.from(JSON.stringify(records, null, 1));
  assert.equal(search(spaced, 'image-1'), undefined);
  assert.equal(search(bytes.subarray(0, bytes.length - 40), 'image-49'), undefined);
  const nested = Buffer.from(JSON.stringify([{ id: id(1), parts: [{ a: 1 }, { id: 'needle' }] }]));
  assert.equal(search(nested, 'needle'), undefined);
  const badId = Buffer.from('[{"id":"../needle"}]');
  assert.equal(search(badId, 'needle'), undefined);
});
