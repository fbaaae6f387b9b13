import assert from 'node:assert/strict';
import { mkdirSync, mkdtempDisposableSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { openPath } from './open.ts';
import {
  connectUnix,
  listenUnix,
  peerCredentials,
  recvFds,
  sendFds,
  setReceiveTimeout,
  socketpair,
  tryRecvFds,
  trySendFds,
} from './socket.ts';
import { fstat } from './stat.ts';

const openFds = (): number => readdirSync('/proc/self/fd').length;

test('sendFds and recvFds carry bytes and up to 253 descriptors', () => {
  const before = openFds();
  {
    const [a, b] = socketpair();
    using left = a;
    using right = b;
    using usr = openPath('/usr');
    sendFds(
      left,
      Buffer.from('frame'),
      Array.from({ length: 253 }, () => usr),
    );
    const received = recvFds(right, 100, 253);
    assert.equal(received.bytes.toString(), 'frame');
    assert.equal(received.fds.length, 253);
    for (const fd of received.fds) {
      assert.equal(fstat(fd).inode, fstat(usr).inode);
      fd.close();
    }
    assert.throws(
      () =>
        sendFds(
          left,
          Buffer.from('x'),
          Array.from({ length: 254 }, () => usr),
        ),
      { kind: 'invalid' },
    );
    assert.throws(() => sendFds(left, Buffer.alloc(0), [usr]), { kind: 'invalid' });
  }
  assert.equal(openFds(), before);
});

test('recvFds with more descriptors than allowed closes them all and fails', () => {
  const [a, b] = socketpair();
  using left = a;
  using right = b;
  const before = openFds();
  sendFds(left, Buffer.from('x'), [0, 1, 2]);
  assert.throws(() => recvFds(right, 10, 2), { kind: 'invalid' });
  assert.equal(openFds(), before);
});

test('trySendFds says when the socket is full and tryRecvFds when it is empty', () => {
  const [a, b] = socketpair();
  using left = a;
  using right = b;
  assert.equal(tryRecvFds(right, 10, 1), undefined);
  const chunk = Buffer.alloc(32_768, 'x');
  let sent = 0;
  for (let count; (count = trySendFds(left, chunk)) !== undefined;) sent += count;
  assert.ok(sent >= chunk.length);
  let got = 0;
  for (let received; (received = tryRecvFds(right, 65_536, 1)) !== undefined;) got += received.bytes.length;
  assert.equal(got, sent);
  assert.equal(trySendFds(left, chunk), chunk.length);
});

test('recvFds reports the end of the stream as no bytes, and a timeout as deadline', () => {
  const [left, b] = socketpair();
  using right = b;
  setReceiveTimeout(right, 20);
  assert.throws(() => recvFds(right, 10, 0), { kind: 'deadline' });
  left.close();
  assert.deepEqual(recvFds(right, 10, 0), { bytes: Buffer.alloc(0), fds: [] });
  assert.throws(() => sendFds(right, Buffer.from('x')), { kind: 'unavailable', code: 'EPIPE' });
});

test('connectUnix reaches sockets by paths of any length and knows the peer', () => {
  using temp = mkdtempDisposableSync('/tmp/tare-socket-');
  const deep = `${temp.path}/${'d'.repeat(100)}/${'e'.repeat(100)}`;
  mkdirSync(deep, { recursive: true });
  for (const path of [`${temp.path}/s`, `${deep}/s`]) {
    const before = openFds();
    {
      using server = listenUnix(path);
      using client = connectUnix(path);
      assert.deepEqual(peerCredentials(client), {
        pid: process.pid,
        uid: process.geteuid?.(),
        gid: process.getegid?.(),
      });
      assert.ok(server.number >= 0);
    }
    assert.equal(openFds(), before);
    assert.throws(() => connectUnix(path), { kind: 'unavailable', path });
  }
  assert.throws(() => connectUnix(`${deep}/none`), { kind: 'not-found' });
  assert.throws(() => connectUnix(`${deep}/${'n'.repeat(100)}`), { kind: 'invalid' });
});
