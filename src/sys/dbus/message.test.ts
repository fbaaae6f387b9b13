import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import { encodeCall, MAX_MESSAGE_BYTES, MessageReader } from './message.ts';
import { errorTo, messageOf, replyTo, signalOf } from './peer.suite.ts';

const reply = replyTo(3, 'o', ['/org/freedesktop/systemd1/job/1']);
const refusal = errorTo(4, 'org.x.No', 'no');
const signal = signalOf('org.x.Manager', 'JobRemoved', 'uoss', [1, '/a/1', 'x.scope', 'done']);

test('encodeCall: the bytes that the specification gives for a call', () => {
  const bytes = encodeCall({ path: '/a', interface: 'b.c', member: 'D', signature: 's', values: ['x'] }, 1);
  assert.equal(
    bytes.toString('hex'),
    [
      '6c010001' + '06000000' + '01000000' + '37000000',
      '01016f00' + '02000000' + '2f610000' + '00000000',
      '02017300' + '03000000' + '622e6300' + '00000000',
      '03017300' + '01000000' + '44000000' + '00000000',
      '08016700' + '01730000',
      '01000000' + '7800',
    ].join(''),
  );
});

test('MessageReader: messages come out whole, however the stream is cut', () => {
  const stream = Buffer.concat([reply, refusal, signal]);
  for (const size of [1, 2, 7, 16, 33, stream.length]) {
    const reader = new MessageReader();
    const messages = [];
    for (let at = 0; at < stream.length; at += size) messages.push(...reader.push(stream.subarray(at, at + size)));
    assert.deepEqual(
      messages.map(({ values, ...message }) => ({ ...message, values: values() })),
      [
        { type: 'return', replySerial: 3, values: ['/org/freedesktop/systemd1/job/1'] },
        { type: 'error', errorName: 'org.x.No', replySerial: 4, values: ['no'] },
        { type: 'signal', interface: 'org.x.Manager', member: 'JobRemoved', values: [1, '/a/1', 'x.scope', 'done'] },
      ],
    );
  }
});

test('MessageReader: refuses another protocol, unknown types, and what is too large before it came', () => {
  const refused = (bytes: Buffer): void =>
    assert.throws(
      () => new MessageReader().push(bytes),
      (error) => isKind(error, 'invalid'),
    );
  const changed = (at: number, value: number, width: 1 | 4): Buffer => {
    const bytes = Buffer.from(reply);
    bytes.writeUIntLE(value, at, width);
    return bytes.subarray(0, 16);
  };
  refused(Buffer.from('HTTP/1.1 400 Bad Request\r\n'));
  refused(changed(3, 2, 1));
  refused(changed(4, MAX_MESSAGE_BYTES, 4));
  refused(changed(4, 0xffffffff, 4));
  refused(changed(12, 0xffffffff, 4));
  refused(messageOf(9, []));
});

test('MessageReader: bytes changed at random end in a message or in an error of kind invalid', () => {
  let seed = 42;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const outcomes = { read: 0, refused: 0 };
  for (let round = 0; round < 5000; round++) {
    const bytes = Buffer.concat([signal, reply]);
    for (let change = 0; change <= random(4); change++) bytes[random(bytes.length)] = random(256);
    try {
      for (const message of new MessageReader().push(bytes)) message.values();
      outcomes.read++;
    } catch (error) {
      assert.ok(isKind(error, 'invalid'), String(error));
      outcomes.refused++;
    }
  }
  assert.ok(outcomes.read > 100 && outcomes.refused > 100, JSON.stringify(outcomes));
});
