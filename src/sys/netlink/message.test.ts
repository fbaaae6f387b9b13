import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TareError } from '../../base/errors.ts';
import { readLinkAddress } from './addresses.ts';
import { attribute, attributeList, Attributes, be32, nested, text, u16, u32, u8 } from './attributes.ts';
import { readLink } from './links.ts';
import { encodeMessage, NLMSG_DONE, NLMSG_ERROR, readMessages, readVerdict } from './message.ts';
import { readRoute } from './routes.ts';

test('attributes: what is written is read, padded and nested', () => {
  const bytes = Buffer.concat([
    u8(1, 7),
    u16(2, 0x1234),
    u32(3, 0xffff_ffff),
    be32(4, 5),
    text(5, 'eth0'),
    nested(6, u8(1, 9), text(2, '')),
  ]);
  assert.equal(bytes.length % 4, 0);
  const read = new Attributes(bytes);
  assert.equal(read.u8(1), 7);
  assert.equal(read.u16(2), 0x1234);
  assert.equal(read.u32(3), 0xffff_ffff);
  assert.equal(read.be32(4), 5);
  assert.equal(read.text(5), 'eth0');
  assert.equal(read.nested(6)?.u8(1), 9);
  assert.equal(read.nested(6)?.text(2), '');
  assert.equal(read.u32(9), undefined);
  assert.deepEqual(
    attributeList(bytes).map(([type]) => type),
    [1, 2, 3, 4, 5, 6],
  );
});

test('attributes: of another size than said, or too large, are refused', () => {
  assert.throws(() => new Attributes(u8(1, 7)).u32(1), {
    kind: 'invalid',
    message: /attribute 1 has 1 bytes and not 4/,
  });
  assert.throws(() => attribute(1, Buffer.alloc(65_532)), { kind: 'invalid', message: /65532 bytes are too many/ });
  for (const length of [0, 3, 9, 0xffff]) {
    const bytes = Buffer.from(u32(1, 1));
    bytes.writeUInt16LE(length, 0);
    assert.throws(() => attributeList(bytes), { kind: 'invalid' }, String(length));
  }
});

test('readMessages: several in one datagram, lengths that lie', () => {
  const two = Buffer.concat([encodeMessage(16, 5, 1, Buffer.from('abcde')), encodeMessage(3, 2, 1)]);
  assert.deepEqual(
    readMessages(two).map(({ type, sequence, payload }) => [type, sequence, payload.toString()]),
    [
      [16, 1, 'abcde'],
      [3, 1, ''],
    ],
  );
  for (const length of [0, 15, 41, 0xffff_ffff]) {
    const bytes = Buffer.from(two);
    bytes.writeUInt32LE(length, 0);
    assert.throws(() => readMessages(bytes), { kind: 'invalid' }, String(length));
  }
  assert.throws(() => readMessages(two.subarray(0, 30)), { kind: 'invalid' });
});

const verdict = (type: number, flags: number, ...parts: Uint8Array[]): ReturnType<typeof readVerdict> =>
  readVerdict({ type, flags, sequence: 0, port: 0, payload: Buffer.concat(parts) });
const number = (errno: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(-errno);
  return bytes;
};

test('readVerdict: the number, and the words of an extended acknowledgement', () => {
  const request = encodeMessage(16, 0, 1, Buffer.from('12345678'));
  const words = text(1, 'Unknown device type');
  assert.deepEqual(verdict(NLMSG_ERROR, 0, number(0), request), { errno: 0 });
  assert.deepEqual(verdict(NLMSG_ERROR, 0, number(17), request), { errno: 17 });
  assert.deepEqual(verdict(NLMSG_ERROR, 0x200, number(95), request, words), { errno: 95, text: 'Unknown device type' });
  assert.deepEqual(verdict(NLMSG_ERROR, 0x300, number(95), request.subarray(0, 16), words), {
    errno: 95,
    text: 'Unknown device type',
  });
  assert.deepEqual(verdict(NLMSG_DONE, 0), { errno: 0 });
  assert.deepEqual(verdict(NLMSG_DONE, 0x200, number(4), words), { errno: 4, text: 'Unknown device type' });
  assert.throws(() => verdict(NLMSG_ERROR, 0), { kind: 'invalid' });
  assert.throws(() => verdict(NLMSG_ERROR, 0x200, number(1)), { kind: 'invalid' });
  assert.throws(() => verdict(NLMSG_ERROR, 0x200, number(1), request.subarray(0, 20)), { kind: 'invalid' });
});

test('what the kernel might say, mutated: read or refused, never anything else', () => {
  let seed = 42;
  const random = (below: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % below;
  const link = Buffer.concat([Buffer.alloc(16), u32(4, 1500), text(3, 'eth0'), nested(18, text(1, 'veth'))]);
  const address = Buffer.concat([Buffer.from([2, 24, 0, 0, 1, 0, 0, 0]), attribute(2, Uint8Array.of(10, 0, 0, 1))]);
  const route = Buffer.concat([
    Buffer.from([2, 8, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0]),
    attribute(1, Uint8Array.of(10, 0, 0, 0)),
    u32(4, 1),
  ]);
  const readers: ((payload: Buffer) => unknown)[] = [readLink, readLinkAddress, readRoute];
  let refused = 0;
  for (let round = 0; round < 30_000; round++) {
    const kind = random(3);
    const sample = [link, address, route][kind] ?? link;
    const bytes = Buffer.from(encodeMessage(16, 2, 1, sample));
    for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)] = random(256);
    try {
      for (const message of readMessages(bytes.subarray(0, random(3) === 0 ? random(bytes.length) : bytes.length))) {
        readVerdict({ ...message, type: NLMSG_ERROR });
        readers[kind]?.(message.payload);
      }
    } catch (error) {
      assert.ok(error instanceof TareError && error.kind === 'invalid', String(error));
      refused++;
    }
  }
  assert.ok(refused > 1000 && refused < 30_000, String(refused));
});
