import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileMentions, fileRecordsMentioning, recordsMentioning } from './record-search.ts';

const id = (n: number): string => n.toString(16).padStart(64, '0');
const records = Array.from({ length: 50 }, (_, n) => ({
  id: id(n),
  names: [`docker.io/library/image-${n}:latest`, 'odd "},{"id":" name', `back\\slash-${n}`, `é-${n}`],
  layer: id(n % 7),
  flags: { nested: [{ id: 'x' }] },
}));
const bytes = Buffer.from(JSON.stringify(records));
const find = (literal: string): string[] | undefined =>
  recordsMentioning(bytes, JSON.stringify(literal).slice(1, -1), false)?.map((row) => row.id);

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
    recordsMentioning(bytes, ']', false)?.map((row) => row.id),
    records.map(({ id: each }) => each),
  );
  assert.deepEqual(recordsMentioning(bytes, '[', false)?.[0]?.id, id(0));
  for (const needle of ['{', '}', ',', '},{', '}]', '"', '[{', 'é'])
    assert.ok((recordsMentioning(bytes, needle, false)?.length ?? 0) <= records.length, needle);
});

test('fileRecordsMentioning finds the same wherever the pieces it reads end', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tare-search-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'list.json');
  const idsIn = (needle: string): string[] | undefined =>
    fileRecordsMentioning(path, needle, false)?.map((row) => row.id);
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

test('fileMentions finds a text wherever the pieces it reads end', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tare-search-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'file');
  assert.equal(fileMentions(path, 'x'), false, 'no file');
  writeFileSync(path, '');
  assert.equal(fileMentions(path, 'x'), false, 'nothing in it');
  const piece = 128 * 1024;
  for (const at of [0, 1, piece - 11, piece - 10, piece - 9, piece - 1, piece, 2 * piece - 15, 3 * piece - 10]) {
    const contents = Buffer.alloc(3 * piece, 'incomplet');
    contents.write('incomplete', at);
    writeFileSync(path, contents);
    assert.equal(fileMentions(path, 'incomplete'), true, `at ${at}`);
    assert.equal(fileMentions(path, 'incompletee'), false);
  }
  writeFileSync(path, Buffer.alloc(3 * piece, 'incomplet'));
  assert.equal(fileMentions(path, 'incomplete'), false);
});

test('recordsMentioning reads empty lists, and leaves what is written another way to a parser', () => {
  for (const text of ['', '[]', 'null']) assert.deepEqual(recordsMentioning(Buffer.from(text), 'x', false), []);
  const spaced = Buffer.from(JSON.stringify(records, null, 1));
  assert.equal(recordsMentioning(spaced, 'image-1', false), undefined);
  assert.equal(recordsMentioning(bytes.subarray(0, bytes.length - 40), 'image-49', false), undefined);
  const nested = Buffer.from(JSON.stringify([{ id: id(1), parts: [{ a: 1 }, { id: 'needle' }] }]));
  assert.equal(recordsMentioning(nested, 'needle', false), undefined);
  const badId = Buffer.from('[{"id":"../needle"}]');
  assert.equal(recordsMentioning(badId, 'needle', false), undefined);
});
