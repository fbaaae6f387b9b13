import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { TareError, isKind } from '../base/errors.ts';
import { openLayerTar } from './layer-tar.ts';

async function* decompressed(body: AsyncIterable<Uint8Array>, what: string): AsyncGenerator<Uint8Array> {
  await using layer = await openLayerTar(body, what);
  yield* layer.tar;
}

async function run(...chunks: Uint8Array[]): Promise<Buffer> {
  const out: Uint8Array[] = [];
  for await (const chunk of decompressed(from(chunks), 'layer')) out.push(chunk);
  return Buffer.concat(out);
}

async function* from(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

const pieces = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
const refuses = (
  promise: Promise<unknown>,
  message: RegExp,
  kind: 'invalid' | 'unsupported' = 'invalid',
): Promise<void> => assert.rejects(promise, (error) => isKind(error, kind) && message.test(error.message));

const noise = randomBytes(700_000);
const packed = gzipSync(noise);

test('openLayerTar() passes a plain tar on, an empty one too', async () => {
  assert.deepEqual(await run(), Buffer.alloc(0));
  assert.deepEqual(await run(Buffer.from('ab')), Buffer.from('ab'));
  assert.deepEqual(await run(...pieces(noise, 1000)), noise);
});

test('openLayerTar() unpacks gzip in any pieces, several members, and an empty member', async () => {
  assert.deepEqual(await run(packed), noise);
  assert.deepEqual(await run(...pieces(packed, 777)), noise);
  const many = Buffer.concat([gzipSync('one'), gzipSync(''), gzipSync('two')]);
  for (const size of [1, 2, 5, 20, 23, 1000])
    assert.equal((await run(...pieces(many, size))).toString(), 'onetwo', `pieces of ${size}`);
});

test('openLayerTar() refuses what follows the end of gzip data: zeros, text, half a member', async () => {
  const member = gzipSync('content');
  const tails = [
    Buffer.alloc(1),
    Buffer.alloc(5000),
    Buffer.from('x'),
    Buffer.from('trailing text'),
    Buffer.of(0x1f),
    Buffer.of(0x1f, 0x8b),
    member.subarray(0, -1),
  ];
  for (const tail of tails) {
    await refuses(run(Buffer.concat([member, tail])), /layer/);
    await refuses(run(member, tail), /layer/);
    await refuses(run(...pieces(Buffer.concat([member, tail]), 1).slice(0, 200)), /layer/);
  }
  await refuses(run(member, Buffer.alloc(9)), /9 bytes follow/);
});

test('openLayerTar() refuses a cut-off end, a wrong checksum and a wrong length', async () => {
  await refuses(run(packed.subarray(0, -1)), /damaged/);
  await refuses(run(packed.subarray(0, 5)), /damaged/);
  for (const at of [packed.length - 8, packed.length - 1, 1000]) {
    const broken = Buffer.from(packed);
    broken[at] = (broken[at] ?? 0) ^ 0x55;
    await refuses(run(broken), /damaged/);
  }
});

test('openLayerTar() unpacks zstd that begins with a frame or with any skippable frame', async () => {
  const packed = zstdCompressSync(noise);
  for (let low = 0; low < 16; low++) {
    const skippable = Buffer.of(0x50 + low, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7);
    assert.deepEqual(await run(...pieces(Buffer.concat([skippable, packed, skippable]), 1000)), noise);
  }
  await refuses(run(packed, Buffer.alloc(9)), /no zstd frame/);
});

test('openLayerTar() names formats it does not unpack', async () => {
  await refuses(run(Buffer.from('BZh91AY')), /bzip2/, 'unsupported');
  await refuses(run(Buffer.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)), /xz/, 'unsupported');
});

test('openLayerTar() hands the error of its source on, and closes the source when it is left', async () => {
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield packed.subarray(0, 300_000);
    throw new TareError('unavailable', 'Cannot go on: it broke');
  };
  await assert.rejects(
    async () => {
      for await (const _ of decompressed(broken(), 'layer'));
    },
    (error) => isKind(error, 'unavailable'),
  );
  let closed = 0;
  const endless = async function* (first: Uint8Array): AsyncGenerator<Uint8Array> {
    try {
      yield first;
      for (;;) yield noise;
    } finally {
      closed++;
    }
  };
  for await (const _ of decompressed(endless(Buffer.from('plain')), 'layer')) break;
  for await (const _ of decompressed(endless(packed.subarray(0, 600_000)), 'layer')) break;
  await refuses(
    (async () => {
      for await (const _ of decompressed(endless(Buffer.from('BZh91AY')), 'layer'));
    })(),
    /bzip2/,
    'unsupported',
  );
  await refuses(
    (async () => {
      for await (const _ of decompressed(endless(packed), 'layer'));
    })(),
    /damaged|follow/,
  );
  assert.equal(closed, 4);
});

test('openLayerTar() holds little of a bomb while its consumer is slow', async () => {
  const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024));
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  let bytes = 0;
  for await (const chunk of decompressed(from(pieces(bomb, 65536)), 'layer')) {
    bytes += chunk.byteLength;
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }
  assert.equal(bytes, 256 * 1024 * 1024);
  assert.ok(most < 128 * 1024 * 1024, `${most} bytes held`);
});
