import { TareError } from '../../base/errors.ts';
import { type FieldType, type Op, PLAN_MAGIC, PLAN_MAX_BYTES, PLAN_MAX_FDS, PLAN_VERSION, planOps } from './schema.ts';

const HEADER_BYTES = 16;
const OP_HEADER_BYTES = 8;

/**
 * Encodes operations as a Plan whose descriptor table has `fdCount` entries.
 *
 * Errors: `invalid` for a string with a NUL byte, a number out of range, an unknown slot or a Plan over the limits.
 */
export function encodePlan(ops: readonly Op[], fdCount: number): Buffer {
  if (fdCount > PLAN_MAX_FDS)
    throw new TareError('invalid', `Cannot encode plan: ${fdCount} descriptors, at most ${PLAN_MAX_FDS}`);
  let buffer = Buffer.allocUnsafe(16 * 1024);
  // Its methods are the engine's own: those of Buffer are JavaScript, which runs here for the first time, a thousand times.
  let view = viewOf(buffer);
  let at = HEADER_BYTES;

  const reserve = (bytes: number): void => {
    if (at + bytes <= buffer.length) return;
    checkSize(at);
    const grown = Buffer.allocUnsafe(Math.max(buffer.length * 2, at + bytes));
    buffer.copy(grown, 0, 0, at);
    buffer = grown;
    view = viewOf(buffer);
  };
  const u32 = (value: number): void => {
    if (value >>> 0 !== value) throw outOfRange(value);
    reserve(4);
    view.setUint32(at, value, true);
    at += 4;
  };
  const u64 = (value: number | bigint): void => {
    reserve(8);
    const whole = typeof value === 'bigint' ? value : Number.isInteger(value) ? BigInt(value) : -1n;
    if (whole < 0n || whole > MAX_U64) throw outOfRange(value);
    view.setBigUint64(at, whole, true);
    at += 8;
  };
  const str = (value: string): void => {
    if (value.includes('\0'))
      throw new TareError('invalid', `Cannot encode plan: NUL byte in ${JSON.stringify(value)}`);
    reserve(3 * value.length + 5);
    const bytes = buffer.write(value, at + 4);
    view.setUint32(at, bytes, true);
    at += bytes + 4;
    buffer[at++] = 0;
  };
  const write = (type: FieldType, value: unknown): void => {
    switch (type) {
      case 'u32':
        return u32(value as number);
      case 'fd':
        if ((value as number) >= fdCount && value !== 0xffffffff)
          throw new TareError('invalid', `Cannot encode plan: no descriptor ${String(value)}`);
        return u32(value as number);
      case 'i32':
        if (((value as number) | 0) !== value) throw outOfRange(value);
        return u32((value as number) >>> 0);
      case 'u64':
        return u64(value as number | bigint);
      case 'str':
        return str(value as string);
      case 'blob': {
        const bytes = value as Uint8Array;
        u32(bytes.length);
        reserve(bytes.length + 1);
        buffer.set(bytes, at);
        at += bytes.length;
        buffer[at++] = 0;
        return;
      }
      case 'strv': {
        const list = value as readonly string[];
        u32(list.length);
        for (const item of list) str(item);
      }
    }
  };

  for (const op of ops) {
    const { code, fields } = planOps[op.op];
    reserve(OP_HEADER_BYTES);
    const start = at;
    at += OP_HEADER_BYTES;
    const values = op as unknown as Record<string, unknown>;
    const types = fields as Readonly<Record<string, FieldType>>;
    for (const name of Object.keys(types)) write(types[name] as FieldType, values[name]);
    view.setUint32(start, code, true);
    view.setUint32(start + 4, at - start - OP_HEADER_BYTES, true);
  }
  checkSize(at);
  for (const [index, value] of [PLAN_MAGIC, PLAN_VERSION, at, fdCount].entries())
    view.setUint32(4 * index, value, true);
  return buffer.subarray(0, at);
}

const MAX_U64 = 2n ** 64n - 1n;

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function checkSize(bytes: number): void {
  if (bytes > PLAN_MAX_BYTES) throw new TareError('invalid', `Cannot encode plan: it exceeds ${PLAN_MAX_BYTES} bytes`);
}

function outOfRange(value: unknown): TareError {
  return new TareError('invalid', `Cannot encode plan: ${String(value)} is out of range`);
}
