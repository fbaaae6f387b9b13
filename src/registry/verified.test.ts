import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { collect, digestOf, verified, verifyBytes } from './verified.ts';

const content = Buffer.from('the quick brown fox jumps over the lazy dog');

async function* from(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const read = async (
  body: AsyncIterable<Uint8Array>,
  digest = digestOf(content),
  size = content.length,
): Promise<string> => Buffer.from(await collect(verified(body, { digest, size }, 'blob x'), 1e9, 'blob x')).toString();

test('verified() hands on what is right, in any pieces and by any algorithm', async () => {
  for (const size of [1, 7, 43, 1000]) assert.equal(await read(from(content, size)), content.toString());
  for (const algorithm of ['sha384', 'sha512'] as const)
    assert.equal(await read(from(content, 5), digestOf(content, algorithm)), content.toString());
  assert.equal(
    await read(from(content, 5), digestOf(Buffer.alloc(0)), 0).catch(String),
    `TareError: Cannot use blob x: it goes on after the 0 bytes of ${digestOf(Buffer.alloc(0))}`,
  );
  assert.equal(await read(from(Buffer.alloc(0), 5), digestOf(Buffer.alloc(0)), 0), '');
});

test('verified() names both digests when they differ, and never hands on the last bytes then', async () => {
  const other = Buffer.from(content);
  other[0] = 0;
  const seen: Uint8Array[] = [];
  await assert.rejects(
    async () => {
      for await (const chunk of verified(
        from(other, 10),
        { digest: digestOf(content), size: content.length },
        'blob x',
      ))
        seen.push(chunk);
    },
    (error) =>
      isKind(error, 'invalid') && error.message.includes(digestOf(content)) && error.message.includes(digestOf(other)),
  );
  assert.equal(Buffer.concat(seen).length, 40);
});

test('verified() ends an endless body at the first byte too many, and closes it', async () => {
  let given = 0;
  let closed = false;
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        given += 10;
        yield content.subarray(0, 10);
      }
    } finally {
      closed = true;
    }
  };
  await assert.rejects(read(endless()), /goes on after the 43 bytes/);
  assert.deepEqual([given, closed], [50, true]);
});

test('verified() tells a body that ends early', async () => {
  await assert.rejects(read(from(content.subarray(0, 42), 10)), /ends after 42 of the 43 bytes/);
});

test('verifyBytes() and collect() check pieces at rest', async () => {
  verifyBytes(content, digestOf(content), 'x');
  assert.throws(
    () => verifyBytes(content.subarray(1), digestOf(content), 'x'),
    (error) => isKind(error, 'invalid'),
  );
  await assert.rejects(collect(from(content, 10), 42, 'x'), /longer than 42/);
});
