import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import { DBusConnection, DBusError } from './connection.ts';
import { errorTo, listenAt, replyTo, signalOf } from './peer.suite.ts';

const call = { path: '/a', interface: 'org.x.Y', member: 'Do', signature: 's', values: ['it'] } as const;
const timeoutMs = 5000;

function place(): Disposable & { readonly path: string } {
  const dir = mkdtempSync(join(tmpdir(), 'tare-dbus-'));
  return { path: join(dir, 'socket'), [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

test('DBusConnection: authenticates as the user, calls, hears signals', async () => {
  using at = place();
  await using peer = await listenAt(at.path, (message, serial) =>
    Buffer.concat([signalOf('org.x.Y', 'Done', 's', ['soon']), replyTo(serial, 's', message.values())]),
  );
  const signals: unknown[] = [];
  using bus = await DBusConnection.open(at.path, 1000, {
    timeoutMs,
    onSignal: ({ member, values }) => signals.push([member, ...values()]),
  });
  const both = await Promise.all([bus.call(call), bus.call({ ...call, values: ['more'] })]);
  assert.deepEqual(both, [['it'], ['more']]);
  assert.deepEqual(signals, [
    ['Done', 'soon'],
    ['Done', 'soon'],
  ]);
  // "1000" in hexadecimal.
  assert.equal(peer.asked[0], '\0AUTH EXTERNAL 31303030\r\n');
});

test('DBusConnection: what the peer refuses has its name and words', async () => {
  using at = place();
  await using _peer = await listenAt(at.path, (_message, serial) => errorTo(serial, 'org.x.AccessDenied', 'not you'));
  using bus = await DBusConnection.open(at.path, 0, { timeoutMs });
  await assert.rejects(bus.call(call), (error) => {
    assert.ok(error instanceof DBusError);
    assert.equal(error.errorName, 'org.x.AccessDenied');
    assert.equal(error.kind, 'denied');
    assert.equal(error.message, 'Cannot call Do of org.x.Y: not you');
    return true;
  });
});

test('DBusConnection: ends with a reason when nobody listens, authentication fails, nothing comes, or nonsense', async () => {
  using at = place();
  const kindOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'none',
      (error: unknown) => (isKind(error, (error as { kind: 'invalid' }).kind) ? error.kind : String(error)),
    );
  assert.equal(await kindOf(DBusConnection.open(at.path, 0, { timeoutMs })), 'not-found');
  {
    await using _peer = await listenAt(at.path, () => undefined, 'REJECTED EXTERNAL\r\n');
    assert.equal(await kindOf(DBusConnection.open(at.path, 0, { timeoutMs })), 'denied');
  }
  {
    await using _peer = await listenAt(at.path, () => undefined, 'x'.repeat(600));
    assert.equal(await kindOf(DBusConnection.open(at.path, 0, { timeoutMs })), 'invalid');
  }
  {
    await using _peer = await listenAt(at.path, () => undefined);
    using bus = await DBusConnection.open(at.path, 0, { timeoutMs: 50 });
    assert.equal(await kindOf(bus.call(call)), 'deadline');
    assert.equal(await kindOf(bus.lost), 'deadline');
    assert.equal(await kindOf(bus.call(call)), 'deadline');
  }
  {
    await using _peer = await listenAt(at.path, () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    using bus = await DBusConnection.open(at.path, 0, { timeoutMs });
    assert.equal(await kindOf(bus.call(call)), 'invalid');
  }
  {
    await using _peer = await listenAt(at.path, (_message, _serial, socket) => void socket.destroy());
    using bus = await DBusConnection.open(at.path, 0, { timeoutMs });
    assert.equal(await kindOf(bus.call(call)), 'unavailable');
  }
  {
    await using _peer = await listenAt(at.path, () => undefined);
    const bus = await DBusConnection.open(at.path, 0, { timeoutMs });
    const pending = kindOf(bus.call(call));
    bus[Symbol.dispose]();
    assert.equal(await pending, 'cancelled');
  }
});
