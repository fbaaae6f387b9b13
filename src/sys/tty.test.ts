import assert from 'node:assert/strict';
import { readSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { addon } from './addon.ts';
import { check } from './error.ts';
import { Fd } from './fd.ts';
import { AT_FDCWD, O_NOCTTY, O_RDWR, openat2, openPath } from './open.ts';
import { isTerminal, RawMode, setWindowSize, windowSize } from './tty.ts';

const TIOCSPTLCK = 0x40045431;
const TIOCGPTPEER = 0x5441;

function openPty(): [Fd, Fd] {
  const master = openat2(AT_FDCWD, '/dev/ptmx', { flags: O_RDWR | O_NOCTTY });
  check(addon().ioctl(master.number, TIOCSPTLCK, new Uint32Array(16)), 'ioctl');
  return [master, Fd.adopt(check(addon().ioctlNumber(master.number, TIOCGPTPEER, O_RDWR | O_NOCTTY), 'ioctl'))];
}

test('setWindowSize on one side of a pty is read on the other', () => {
  const [a, b] = openPty();
  using master = a;
  using slave = b;
  setWindowSize(master, { rows: 43, cols: 132 });
  assert.deepEqual(windowSize(slave), { rows: 43, cols: 132 });
});

test('isTerminal and windowSize know what is no terminal', () => {
  const [a, b] = openPty();
  using master = a;
  using slave = b;
  using file = openPath('/');
  assert.deepEqual(
    [isTerminal(master), isTerminal(slave), isTerminal(file), isTerminal(-1)],
    [true, true, false, false],
  );
  assert.throws(() => windowSize(openat2(AT_FDCWD, '/dev/null', { flags: O_RDWR })), { code: 'ENOTTY' });
});

test('RawMode passes bytes as they are while it lasts', () => {
  const [a, b] = openPty();
  using master = a;
  using slave = b;
  const buffer = Buffer.alloc(100);
  const echoed = (): string => buffer.toString('latin1', 0, readSync(master.number, buffer));
  writeSync(slave.number, 'x\n');
  assert.equal(echoed(), 'x\r\n');
  {
    using raw = RawMode.enter(slave);
    assert.ok(raw);
    writeSync(slave.number, 'x\n');
    assert.equal(echoed(), 'x\n');
    // No line needs to be finished and ^C is a byte like any other.
    writeSync(master.number, 'a\x03\r');
    assert.equal(buffer.toString('latin1', 0, readSync(slave.number, buffer)), 'a\x03\r');
  }
  writeSync(slave.number, 'y\n');
  assert.equal(echoed(), 'y\r\n');
  assert.throws(() => RawMode.enter(-1), { code: 'EBADF' });
});
