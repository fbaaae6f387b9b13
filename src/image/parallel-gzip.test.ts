import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { TareError, isKind } from '../base/errors.ts';
import { needs } from '../../test/support/needs.ts';
import { parallelGzip, type GzipOptions } from './parallel-gzip.ts';

async function pack(data: Uint8Array, pieceBytes: number, options?: GzipOptions): Promise<Buffer> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < data.length; at += pieceBytes) yield data.subarray(at, at + pieceBytes);
  };
  const out: Uint8Array[] = [];
  for await (const chunk of parallelGzip(pieces(), options)) out.push(chunk);
  return Buffer.concat(out);
}

const MiB = 1024 * 1024;
const text = Buffer.from(Array.from({ length: 300_000 }, (_, i) => `line ${i % 9973} of a text\n`).join(''));

test('parallelGzip() makes one member that unpacks to the same, at every size around its blocks', async () => {
  const noise = randomBytes(3 * MiB);
  for (const length of [0, 1, MiB - 1, MiB, MiB + 1, 2 * MiB, 3 * MiB]) {
    for (const data of [noise.subarray(0, length), text.subarray(0, length), Buffer.alloc(length)])
      assert.deepEqual(gunzipSync(await pack(data, 100_000)), data);
  }
});

test('parallelGzip() gives bytes that depend on contents and level only', async () => {
  const first = await pack(text, 1000, { parallel: 1 });
  for (const parallel of [2, 8]) assert.deepEqual(await pack(text, 777_777, { parallel }), first);
  const sizes = await Promise.all([0, 1, 9].map(async (level) => (await pack(text, MiB, { level })).length));
  assert.ok(
    sizes.every((size, index) => index === 0 || size < (sizes[index - 1] ?? 0)),
    String(sizes),
  );
});

test('parallelGzip() loses little to zlib in one piece', async () => {
  assert.ok((await pack(text, MiB)).length < gzipSync(text, { level: 6 }).length * 1.02);
});

test('gzip reads what parallelGzip() writes', { skip: needs.program('gzip') }, async () => {
  const packed = await pack(text, MiB);
  assert.deepEqual(execFileSync('gzip', ['-dc'], { input: packed, maxBuffer: 2 ** 28 }), text);
  assert.match(execFileSync('gzip', ['-lv'], { input: packed, encoding: 'utf8' }), new RegExp(` ${text.length} `));
});

test('parallelGzip() passes on the error of its source', async () => {
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield text;
    throw new TareError('unavailable', 'the line is dead');
  };
  await assert.rejects(
    async () => {
      for await (const _ of parallelGzip(broken()));
    },
    (error) => isKind(error, 'unavailable'),
  );
});
