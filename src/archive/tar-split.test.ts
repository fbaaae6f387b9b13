import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { bytesOf, cleanPath, isUtf8, utf8Of } from './byte-string.ts';
import { Crc64 } from './crc64.ts';
import { joinTarSplit, parseTarSplitLine, readTarSplit, type TarSplitEntry, TarSplitWriter } from './tar-split.ts';
import { whiteoutOf } from './whiteout.ts';

const collect = async (chunks: AsyncIterable<Uint8Array>): Promise<string> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
};

test('TarSplitWriter: lines wait for CRCs that come later, and read as Go wrote them', () => {
  const writer = new TarSplitWriter();
  writer.raw(Buffer.from('-head-'), 1, 5);
  writer.file('dir/', 0);
  writer.file(bytesOf('é'), 3);
  writer.raw(Buffer.from('pad'), 0, 3);
  writer.file('\xff', 2);
  assert.equal(
    writer.take(),
    '{"type":2,"payload":"aGVhZA==","position":0}\n{"type":1,"name":"dir/","payload":null,"position":1}\n',
  );
  assert.equal(writer.take(), '');
  const crc = Buffer.from('--12345678', 'latin1');
  writer.crc(crc, 2);
  assert.equal(
    writer.take(),
    '{"type":1,"name":"é","size":3,"position":2,"payload":"MTIzNDU2Nzg="}\n{"type":2,"payload":"cGFk","position":3}\n',
  );
  assert.throws(
    () => writer.finish(),
    (error) => isKind(error, 'internal'),
  );
  writer.crc(crc, 0);
  assert.equal(writer.finish(), '{"type":1,"name_raw":"/w==","size":2,"position":4,"payload":"LS0xMjM0NTY="}\n');
  assert.throws(
    () => writer.crc(crc, 0),
    (error) => isKind(error, 'internal'),
  );
});

test('TarSplitWriter: a segment of any length is cut into lines of bounded length', async () => {
  const writer = new TarSplitWriter();
  const zeros = Buffer.alloc(200_000);
  writer.raw(zeros, 0, zeros.length);
  const text = writer.finish();
  assert.ok(text.split('\n').every((line) => line.length < 90_000));
  assert.equal((await collect(joinTarSplit(readTarSplit([Buffer.from(text)]), () => []))).length, zeros.length);
});

test('joinTarSplit: a file that is longer, shorter or other than it was is an error', async () => {
  const crc = new Crc64().update(Buffer.from('abc')).digest();
  const entries = [{ kind: 'file', name: 'x', sizeBytes: 3, crc }] as const;
  assert.equal(await collect(joinTarSplit(entries, () => [Buffer.from('ab'), Buffer.from('c')])), 'abc');
  for (const content of ['ab', 'abcd', 'abd', '']) {
    await assert.rejects(
      collect(joinTarSplit(entries, () => [Buffer.from(content)])),
      (error) => isKind(error, 'failed-precondition'),
      content,
    );
  }
});

test('readTarSplit: takes lines cut anywhere and refuses what is no tar-split', async () => {
  const line = Buffer.from('{"type":1,"name":"ü","size":1,"payload":"MTIzNDU2Nzg=","position":0}\n');
  for (let cut = 1; cut < line.length; cut++) {
    const entries: TarSplitEntry[] = [];
    for await (const entry of readTarSplit([line.subarray(0, cut), line.subarray(cut)])) entries.push(entry);
    assert.deepEqual(entries, [{ kind: 'file', name: bytesOf('ü'), sizeBytes: 1, crc: Buffer.from('12345678') }]);
  }
  for (const bad of [
    'x',
    '[]',
    'null',
    '{"type":3}',
    '{"type":1}',
    '{"type":1,"name":"x","size":-1}',
    '{"type":1,"name":"x","size":1.5}',
  ]) {
    assert.throws(
      () => parseTarSplitLine(bad),
      (error) => isKind(error, 'invalid'),
      bad,
    );
  }
});

test('Crc64: is CRC-64/ISO as Go computes it, in any pieces', () => {
  // Check value of the catalogue of parametrised CRC algorithms, CRC-64/GO-ISO.
  assert.equal(new Crc64().update(Buffer.from('123456789')).digest().toString('hex'), 'b90956c775a41001');
  assert.equal(
    new Crc64().update(Buffer.from('1234')).update(Buffer.from('56789')).digest().toString('hex'),
    'b90956c775a41001',
  );
});

test('cleanPath: gives the path below the root, or refuses to leave it', () => {
  const cases: [string, string][] = [
    ['a/b', 'a/b'],
    ['/a//b/', 'a/b'],
    ['./a/./b/.', 'a/b'],
    ['a/../b', 'b'],
    ['./', ''],
    ['/', ''],
    ['...', '...'],
    ['a/..b', 'a/..b'],
  ];
  for (const [path, clean] of cases) assert.equal(cleanPath(path), clean, path);
  for (const path of ['..', 'a/../..', '/../x', 'a\0b', 'x'.repeat(256), `${'ab/'.repeat(1400)}c`]) {
    assert.throws(
      () => cleanPath(path),
      (error) => isKind(error, 'invalid'),
      path,
    );
  }
  assert.deepEqual(
    [isUtf8('\xc3\xa9'), isUtf8('\xe9'), utf8Of('\xc3\xa9'), bytesOf('é')],
    [true, false, 'é', '\xc3\xa9'],
  );
});

test('whiteoutOf: reads the OCI whiteouts', () => {
  assert.deepEqual(whiteoutOf('a/.wh.b'), { kind: 'whiteout', path: 'a/b' });
  assert.deepEqual(whiteoutOf('.wh.b'), { kind: 'whiteout', path: 'b' });
  assert.deepEqual(whiteoutOf('a/.wh..wh..opq'), { kind: 'opaque', path: 'a' });
  assert.deepEqual(whiteoutOf('.wh..wh..opq'), { kind: 'opaque', path: '' });
  assert.equal(whiteoutOf('.wh..wh.plnk')?.kind, 'reserved');
  for (const plain of ['a.wh.b', '.wh', 'a/b', '.whx']) assert.equal(whiteoutOf(plain), undefined, plain);
  for (const bad of ['.wh.', 'a/.wh..', 'a/.wh...'])
    assert.throws(
      () => whiteoutOf(bad),
      (error) => isKind(error, 'invalid'),
      bad,
    );
});
