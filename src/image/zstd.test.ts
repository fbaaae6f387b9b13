import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { TareError, isKind } from '../base/errors.ts';
import { needs } from '../../test/support/needs.ts';
import { unzstd, type ZstdMode } from './zstd.ts';

const modes: readonly ZstdMode[] = ['stream', 'frames'];

/** Unpacks in both modes, which must agree. */
async function run(data: Uint8Array, pieceBytes = data.length): Promise<Buffer> {
  const results = await Promise.allSettled(modes.map((mode) => unpack(data, pieceBytes, mode)));
  const [streamed, framed] = results;
  assert.equal(streamed?.status, framed?.status);
  if (streamed?.status === 'rejected') throw streamed.reason;
  assert.ok(streamed !== undefined && framed?.status === 'fulfilled');
  assert.ok(streamed.value.equals(framed.value));
  return streamed.value;
}

async function unpack(data: Uint8Array, pieceBytes: number, mode: ZstdMode): Promise<Buffer> {
  const out: Uint8Array[] = [];
  for await (const chunk of unzstd(pieces(data, pieceBytes), 'layer', mode)) out.push(chunk);
  return Buffer.concat(out);
}

async function* pieces(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size);
}

const refuses = (data: Uint8Array, message: RegExp, kind: 'invalid' | 'unsupported' = 'invalid'): Promise<void> =>
  assert.rejects(run(data, 1000), (error) => {
    assert.ok(isKind(error, kind), String(error));
    assert.match(error.message, message);
    return true;
  });

const skippable = (content: Uint8Array, low = 0): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x184d2a50 + low, 0);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content]);
};

const noise = randomBytes(300_000);
const text = Buffer.from('a line of text that repeats\n'.repeat(100_000));
const zstd = (data: Uint8Array, ...flags: string[]): Buffer =>
  execFileSync('zstd', ['-c', '-q', ...flags], { input: data, maxBuffer: 2 ** 28 });

test('unzstd() unpacks frames of every size in any pieces', async () => {
  for (const content of [Buffer.alloc(0), Buffer.from('x'), noise, text, Buffer.concat([noise, text, noise])]) {
    const packed = zstdCompressSync(content);
    for (const size of [packed.length || 1, 65536, 777]) assert.ok((await run(packed, size)).equals(content));
  }
  assert.ok((await run(zstdCompressSync(Buffer.from('tiny')), 1)).equals(Buffer.from('tiny')));
});

test('unzstd() unpacks many frames with skippable frames anywhere, and data that is nothing else', async () => {
  const frames = Array.from({ length: 300 }, (_, i) => Buffer.from(`frame ${i}\n`.repeat(i)));
  const data = Buffer.concat([
    skippable(Buffer.from('first'), 15),
    ...frames.flatMap((frame, i) => [
      zstdCompressSync(frame),
      ...(i % 7 === 0 ? [skippable(noise.subarray(0, i))] : []),
    ]),
    zstdCompressSync(text),
    skippable(Buffer.alloc(0)),
  ]);
  const expected = Buffer.concat([...frames, text]);
  for (const size of [data.length, 1000, 3]) assert.ok((await run(data, size)).equals(expected));
  assert.ok((await run(skippable(noise))).equals(Buffer.alloc(0)));
});

test('unzstd() refuses data that is cut short anywhere', async () => {
  const small = zstdCompressSync(Buffer.from('content'));
  for (let length = 1; length < small.length; length++) await refuses(small.subarray(0, length), /cut short/);
  const large = zstdCompressSync(Buffer.concat([noise, text, noise, noise, noise, noise]));
  for (const length of [5, 1000, 200_000, large.length - 1]) await refuses(large.subarray(0, length), /cut short/);
  await refuses(Buffer.concat([small, skippable(noise).subarray(0, -1)]), /cut short/);
});

test('unzstd() refuses what follows the last frame and what stands between frames', async () => {
  const frame = zstdCompressSync(text);
  for (const tail of [Buffer.alloc(5), Buffer.from('trailing text')]) {
    await refuses(Buffer.concat([frame, tail]), /no zstd frame/);
    await refuses(Buffer.concat([frame, tail, frame]), /no zstd frame/);
  }
  await refuses(Buffer.concat([frame, Buffer.of(0)]), /cut short/);
});

test('unzstd() refuses damaged blocks and wrong checksums', { skip: needs.program('zstd') }, async () => {
  for (const content of [Buffer.from('some content'.repeat(20)), Buffer.concat([text, noise, text, noise])]) {
    const packed = zstd(content, '--check');
    for (const at of [packed.length - 1, packed.length - 4, packed.length >> 1]) {
      const damaged = Buffer.from(packed);
      damaged[at] = (damaged[at] ?? 0) ^ 0x40;
      await refuses(damaged, /damaged|no zstd frame|cut short/);
    }
  }
  // A reserved block type.
  await refuses(Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 1, 0x0f, 0, 0, 0), /damaged/);
});

test(
  'unzstd() refuses windows above 128 MiB before it allocates them, and takes 128 MiB',
  { skip: needs.program('zstd') },
  async () => {
    const data = Buffer.concat([text, noise]);
    assert.ok((await run(zstd(data, '--long=27'))).equals(data));
    // --long only enlarges the window for content of unknown length.
    const piped = execFileSync('sh', ['-c', 'cat | zstd -c -q --long=28'], {
      input: Buffer.concat([data, data]),
      maxBuffer: 2 ** 28,
    });
    await refuses(piped, /window of 268435456 bytes/);
    // One segment that says it is 1 TiB.
    await refuses(Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0), /window of/);
  },
);

test('unzstd() refuses frames that need a dictionary, and passes on the errors of its source', async () => {
  await refuses(Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 1, 1, 0, 0), /dictionary/, 'unsupported');
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield zstdCompressSync(Buffer.concat(Array.from({ length: 10 }, () => noise))).subarray(0, 2_000_000);
    throw new TareError('unavailable', 'the line is dead');
  };
  await assert.rejects(
    async () => {
      for await (const _ of unzstd(broken(), 'layer'));
    },
    (error) => isKind(error, 'unavailable'),
  );
});

test('unzstd() unpacks a bomb in bounded memory and closes its source when it is left', async () => {
  const bomb = zstdCompressSync(Buffer.alloc(256 * 1024 * 1024));
  const before = process.memoryUsage().rss;
  let closed = false;
  const source = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* pieces(bomb, 500);
    } finally {
      closed = true;
    }
  };
  let bytes = 0;
  for await (const chunk of unzstd(source(), 'layer')) bytes += chunk.length;
  assert.equal(bytes, 256 * 1024 * 1024);
  assert.ok(process.memoryUsage().rss - before < 128 * 1024 * 1024);
  closed = false;
  for await (const _ of unzstd(source(), 'layer')) break;
  assert.ok(closed);
});

test('unzstd() of damaged data gives bytes or a TareError, never another error', async () => {
  const good = Buffer.concat([
    zstdCompressSync(text.subarray(0, 50_000)),
    skippable(Buffer.from('x')),
    zstdCompressSync(noise),
  ]);
  let x = 11;
  const next = (n: number): number => (x = (x * 1103515245 + 12345) & 0x7fffffff) % n;
  for (let i = 0; i < 400; i++) {
    const bytes = Buffer.from(good);
    for (let n = next(4); n >= 0; n--) bytes[next(2) === 0 ? next(40) : next(bytes.length)] = next(256);
    try {
      await run(next(3) === 0 ? bytes.subarray(0, next(bytes.length)) : bytes, 1 + next(100_000));
    } catch (error) {
      assert.ok(error instanceof TareError, String(error));
    }
  }
});
