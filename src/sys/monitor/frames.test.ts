import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../../base/errors.ts';
import {
  type ClientFrame,
  encodeClientFrame,
  encodeMonitorFrame,
  FrameDecoder,
  MAX_FRAME_BYTES,
  type MonitorFrame,
} from './frames.ts';

const clientFrames: ClientFrame[] = [
  { type: 'hello', version: 1 },
  { type: 'attach', streams: 7 },
  { type: 'stdin', bytes: Buffer.from('input') },
  { type: 'stdin', bytes: Buffer.alloc(0) },
  { type: 'resize', rows: 24, cols: 80, exec: '' },
  { type: 'signal', req: 1, signal: 15, flags: 1, exec: 'ä' },
  { type: 'start', req: 2 },
  { type: 'stop', req: 3, signal: 0, timeoutMs: -2 },
  { type: 'exec', req: 4, id: 'one', stdio: 3, flags: 1 },
  { type: 'reopenLog', req: 5 },
  { type: 'mount', req: 0xffffffff },
  { type: 'take', on: 1 },
  { type: 'done' },
  { type: 'detach' },
  { type: 'execStdin', exec: 'one', bytes: Buffer.from([0, 255]) },
  { type: 'pauseOutput', on: 0 },
];
const monitorFrames: MonitorFrame[] = [
  { type: 'hello', version: 1, pid: 42, phase: 3 },
  { type: 'ok', req: 1 },
  { type: 'error', req: 2, errno: 3, text: 'no' },
  { type: 'ready', pid: 42 },
  { type: 'started', pid: 42 },
  { type: 'failed', req: 0, step: 0xffffffff, errno: 2, text: '/bin/x' },
  { type: 'stdout', bytes: Buffer.alloc(100_000, 'x') },
  { type: 'stderr', bytes: Buffer.from('e') },
  { type: 'exit', code: 137, signal: 9, oom: 1, startedAt: '2026-01-02T03:04:05.123456789Z', finishedAt: 'later' },
  { type: 'execStarted', req: 4, pid: 43 },
  { type: 'execStdout', exec: 'one', bytes: Buffer.from('o') },
  { type: 'execStderr', exec: 'one', bytes: Buffer.alloc(0) },
  { type: 'execExit', exec: 'one', code: 1, signal: 0 },
];

test('every frame survives encoding and decoding, however the stream is cut', () => {
  const streams = [
    {
      frames: clientFrames,
      bytes: Buffer.concat(clientFrames.map(encodeClientFrame)),
      make: () => FrameDecoder.ofClient(),
    },
    {
      frames: monitorFrames,
      bytes: Buffer.concat(monitorFrames.map(encodeMonitorFrame)),
      make: () => FrameDecoder.ofMonitor(),
    },
  ] as const;
  for (const { frames, bytes, make } of streams) {
    for (const step of [1, 2, 3, 7, 64, 65_536, bytes.length]) {
      const decoder = make();
      const decoded: unknown[] = [];
      for (let at = 0; at < bytes.length; at += step) decoded.push(...decoder.push(bytes.subarray(at, at + step)));
      assert.deepEqual(decoded, frames, `step ${step}`);
      assert.ok(decoder.isAtBoundary);
    }
  }
});

test('encodeClientFrame is laid out as the protocol says', () => {
  assert.deepEqual(
    encodeClientFrame({ type: 'stop', req: 1, signal: 15, timeoutMs: -1 }),
    Buffer.from([13, 0, 0, 0, 7, 1, 0, 0, 0, 15, 0, 0, 0, 255, 255, 255, 255]),
  );
  assert.deepEqual(
    encodeClientFrame({ type: 'execStdin', exec: 'ab', bytes: Buffer.from('c') }),
    Buffer.from([8, 0, 0, 0, 14, 2, 0, 0, 0, 97, 98, 99]),
  );
});

test('encodeClientFrame refuses numbers out of range and frames over the limit', () => {
  assert.throws(() => encodeClientFrame({ type: 'start', req: 2 ** 32 }), { kind: 'invalid' });
  assert.throws(() => encodeClientFrame({ type: 'stop', req: 1, signal: 1, timeoutMs: 2 ** 31 }), { kind: 'invalid' });
  assert.throws(() => encodeClientFrame({ type: 'stdin', bytes: Buffer.alloc(MAX_FRAME_BYTES) }), { kind: 'invalid' });
  assert.equal(
    encodeClientFrame({ type: 'stdin', bytes: Buffer.alloc(MAX_FRAME_BYTES - 1) }).length,
    MAX_FRAME_BYTES + 4,
  );
});

test('FrameDecoder refuses wild lengths before it holds them, unknown types and malformed payloads', () => {
  const refuses = (...bytes: number[]): void =>
    assert.throws(() => FrameDecoder.ofMonitor().push(Buffer.from(bytes)), { kind: 'invalid' });
  refuses(0, 0, 0, 0);
  refuses(1, 0, 16, 0);
  refuses(255, 255, 255, 255);
  refuses(1, 0, 0, 0, 1);
  refuses(1, 0, 0, 0, 66);
  refuses(6, 0, 0, 0, 66, 1, 0, 0, 0, 0);
  refuses(9, 0, 0, 0, 75, 255, 255, 255, 255, 0, 0, 0, 0);
});

test('FrameDecoder of random damage yields frames or fails as invalid, and never holds more than one frame', () => {
  let state = 12_345;
  const pick = (below: number): number => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 1) % below;
  const good = Buffer.concat(monitorFrames.filter((frame) => frame.type !== 'stdout').map(encodeMonitorFrame));
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(good);
    for (let count = 1 + pick(4); count > 0; count--) bytes[pick(bytes.length)] = pick(256);
    const decoder = FrameDecoder.ofMonitor();
    try {
      for (let at = 0; at < bytes.length;) {
        const step = 1 + pick(50);
        for (const frame of decoder.push(bytes.subarray(at, at + step))) assert.equal(typeof frame.type, 'string');
        at += step;
      }
    } catch (error) {
      if (!isKind(error, 'invalid')) throw error;
      refused++;
    }
  }
  assert.ok(refused > 300);
});
