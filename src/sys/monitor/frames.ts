import { TareError } from '../../base/errors.ts';

/** A frame's length field may say no more (bytes, type included). docs/reference/monitor-protocol.md */
export const MAX_FRAME_BYTES = 1024 * 1024;
/** The version this code speaks. */
export const PROTOCOL_VERSION = 1;

export const ATTACH_STDIN = 1;
export const ATTACH_STDOUT = 2;
export const ATTACH_STDERR = 4;

/** Payload fields: little-endian numbers, length-prefixed UTF-8, and bytes up to the end of the frame. */
type FieldType = 'u32' | 'i32' | 'str' | 'rest';
type Fields = Readonly<Record<string, FieldType>>;
interface Layout {
  readonly code: number;
  readonly fields: Fields;
}

const frame = <const C extends number, const F extends Fields>(code: C, fields: F) => ({ code, fields });

/** Client to monitor. */
export const clientFrames = {
  hello: frame(1, { version: 'u32' }),
  attach: frame(2, { streams: 'u32' }),
  stdin: frame(3, { bytes: 'rest' }),
  resize: frame(4, { rows: 'u32', cols: 'u32', exec: 'str' }),
  signal: frame(5, { req: 'u32', signal: 'u32', flags: 'u32', exec: 'str' }),
  start: frame(6, { req: 'u32' }),
  stop: frame(7, { req: 'u32', signal: 'u32', timeoutMs: 'i32' }),
  exec: frame(8, { req: 'u32', id: 'str', stdio: 'u32', flags: 'u32' }),
  reopenLog: frame(9, { req: 'u32' }),
  mount: frame(10, { req: 'u32' }),
  take: frame(11, { on: 'u32' }),
  done: frame(12, {}),
  detach: frame(13, {}),
  execStdin: frame(14, { exec: 'str', bytes: 'rest' }),
  pauseOutput: frame(15, { on: 'u32' }),
  plan: frame(16, {}),
  health: frame(17, { req: 'u32' }),
  handOver: frame(18, { req: 'u32' }),
} as const;

/** Monitor to client. */
export const monitorFrames = {
  hello: frame(65, { version: 'u32', pid: 'u32', phase: 'u32' }),
  ok: frame(66, { req: 'u32' }),
  error: frame(67, { req: 'u32', errno: 'u32', text: 'str' }),
  ready: frame(68, { pid: 'u32' }),
  started: frame(69, { pid: 'u32' }),
  failed: frame(70, { req: 'u32', step: 'u32', errno: 'u32', text: 'str' }),
  stdout: frame(71, { bytes: 'rest' }),
  stderr: frame(72, { bytes: 'rest' }),
  exit: frame(73, { code: 'u32', signal: 'u32', oom: 'u32', startedAt: 'str', finishedAt: 'str' }),
  execStarted: frame(74, { req: 'u32', pid: 'u32' }),
  execStdout: frame(75, { exec: 'str', bytes: 'rest' }),
  execStderr: frame(76, { exec: 'str', bytes: 'rest' }),
  execExit: frame(77, { exec: 'str', code: 'u32', signal: 'u32' }),
} as const;

type Value<T extends FieldType> = T extends 'str' ? string : T extends 'rest' ? Uint8Array : number;
type FramesOf<T extends Readonly<Record<string, Layout>>> = {
  [N in keyof T]: { readonly type: N } & { readonly [F in keyof T[N]['fields']]: Value<T[N]['fields'][F] & FieldType> };
}[keyof T];

/** `{ type: 'resize', rows: 24, cols: 80, exec: '' }` */
export type ClientFrame = FramesOf<typeof clientFrames>;
/** `{ type: 'exit', code: 0, signal: 0, oom: 0, ... }` */
export type MonitorFrame = FramesOf<typeof monitorFrames>;

/** The bytes of a frame. Errors: `invalid` when a number is out of range or the frame exceeds MAX_FRAME_BYTES. */
export function encodeClientFrame(value: ClientFrame): Buffer {
  return encode(clientFrames[value.type], value as unknown as Record<string, unknown>);
}

/** The monitor's side of it, for peers in tests and tools. Errors: as `encodeClientFrame`. */
export function encodeMonitorFrame(value: MonitorFrame): Buffer {
  return encode(monitorFrames[value.type], value as unknown as Record<string, unknown>);
}

function encode(layout: Layout, values: Record<string, unknown>): Buffer {
  const parts: Uint8Array[] = [];
  const head = Buffer.alloc(5);
  head[4] = layout.code;
  let length = 1;
  for (const [name, type] of Object.entries(layout.fields)) {
    const value = values[name];
    let part: Uint8Array;
    if (type === 'rest') part = value as Uint8Array;
    else if (type === 'str') {
      const bytes = Buffer.byteLength(value as string);
      const text = Buffer.allocUnsafe(4 + bytes);
      text.writeUInt32LE(bytes, 0);
      text.write(value as string, 4);
      part = text;
    } else {
      const number = value as number;
      const [low, high] = type === 'u32' ? [0, 0xffffffff] : [-0x80000000, 0x7fffffff];
      if (!Number.isInteger(number) || number < low || number > high) {
        throw new TareError('invalid', `Cannot encode frame ${layout.code}: ${name} ${number} is out of range`);
      }
      const bytes = Buffer.allocUnsafe(4);
      bytes.writeInt32LE(number | 0, 0);
      part = bytes;
    }
    parts.push(part);
    length += part.length;
  }
  if (length > MAX_FRAME_BYTES)
    throw new TareError('invalid', `Cannot encode frame ${layout.code}: ${length} bytes, at most ${MAX_FRAME_BYTES}`);
  head.writeUInt32LE(length, 0);
  return Buffer.concat([head, ...parts]);
}

/** Cuts a byte stream into frames, however it arrives. It holds at most one frame's bytes besides the chunk it is given. */
export class FrameDecoder<F> {
  readonly #byCode: ReadonlyMap<number, readonly [string, Fields]>;
  #chunks: Uint8Array[] = [];
  #held = 0;
  #needed = 4;

  private constructor(table: Readonly<Record<string, Layout>>) {
    this.#byCode = new Map(Object.entries(table).map(([name, { code, fields }]) => [code, [name, fields]]));
  }

  /** For what a client sends. */
  static ofClient(): FrameDecoder<ClientFrame> {
    return new FrameDecoder(clientFrames);
  }

  /** For what a monitor sends. */
  static ofMonitor(): FrameDecoder<MonitorFrame> {
    return new FrameDecoder(monitorFrames);
  }

  /** True when the bytes so far end between two frames. */
  get isAtBoundary(): boolean {
    return this.#held === 0;
  }

  /**
   * The frames `chunk` completes, in order. Their byte fields may share its memory.
   * Errors: `invalid` for an unknown type, a frame over the limit or a malformed payload; the decoder is then of no more use.
   */
  push(chunk: Uint8Array): F[] {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    const frames: F[] = [];
    if (this.#held < this.#needed) return frames;
    const [first] = this.#chunks;
    const all =
      this.#chunks.length === 1 && first !== undefined
        ? Buffer.from(first.buffer, first.byteOffset, first.length)
        : Buffer.concat(this.#chunks);
    let at = 0;
    this.#needed = 4;
    while (all.length - at >= 4) {
      const length = all.readUInt32LE(at);
      if (length < 1 || length > MAX_FRAME_BYTES) throw new TareError('invalid', `Cannot read frame: ${length} bytes`);
      if (all.length - at - 4 < length) {
        this.#needed = 4 + length;
        break;
      }
      frames.push(this.#decode(all.subarray(at + 4, at + 4 + length)));
      at += 4 + length;
    }
    this.#held = all.length - at;
    this.#chunks = this.#held === 0 ? [] : [all.subarray(at)];
    return frames;
  }

  #decode(bytes: Buffer): F {
    const code = bytes.readUInt8(0);
    const layout = this.#byCode.get(code);
    if (layout === undefined) throw new TareError('invalid', `Cannot read frame: unknown type ${code}`);
    const [type, fields] = layout;
    const frame: Record<string, unknown> = { type };
    let at = 1;
    const u32 = (): number => {
      if (bytes.length - at < 4) throw new TareError('invalid', `Cannot read frame ${type}: it is cut short`);
      at += 4;
      return bytes.readUInt32LE(at - 4);
    };
    for (const [name, kind] of Object.entries(fields)) {
      if (kind === 'u32') frame[name] = u32();
      else if (kind === 'i32') frame[name] = u32() | 0;
      else if (kind === 'rest') {
        frame[name] = bytes.subarray(at);
        at = bytes.length;
      } else {
        const length = u32();
        if (bytes.length - at < length) throw new TareError('invalid', `Cannot read frame ${type}: it is cut short`);
        frame[name] = bytes.toString('utf8', at, at + length);
        at += length;
      }
    }
    if (at !== bytes.length)
      throw new TareError('invalid', `Cannot read frame ${type}: ${bytes.length - at} bytes too many`);
    return frame as F;
  }
}
