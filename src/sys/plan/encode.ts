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
  let at = HEADER_BYTES;

  const reserve = (bytes: number): void => {
    if (at + bytes <= buffer.length) return;
    if (at + bytes > PLAN_MAX_BYTES)
      throw new TareError('invalid', `Cannot encode plan: it exceeds ${PLAN_MAX_BYTES} bytes`);
    const grown = Buffer.allocUnsafe(Math.max(buffer.length * 2, at + bytes));
    buffer.copy(grown, 0, 0, at);
    buffer = grown;
  };
  const u32 = (value: number): void => {
    reserve(4);
    at = buffer.writeUInt32LE(value, at);
  };
  const u64 = (value: number | bigint): void => {
    reserve(8);
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
      at = buffer.writeUInt32LE(value % 2 ** 32, at);
      at = buffer.writeUInt32LE(Math.floor(value / 2 ** 32), at);
    } else at = buffer.writeBigUInt64LE(BigInt(value), at);
  };
  const str = (value: string): void => {
    if (value.includes('\0'))
      throw new TareError('invalid', `Cannot encode plan: NUL byte in ${JSON.stringify(value)}`);
    const bytes = Buffer.byteLength(value);
    reserve(bytes + 5);
    at = buffer.writeUInt32LE(bytes, at);
    at += buffer.write(value, at, bytes, 'utf8');
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
        reserve(4);
        at = buffer.writeInt32LE(value as number, at);
        return;
      case 'u64':
        return u64(value as number | bigint);
      case 'str':
        return str(value as string);
      case 'blob': {
        const bytes = value as Uint8Array;
        reserve(bytes.length + 5);
        at = buffer.writeUInt32LE(bytes.length, at);
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
    buffer.writeUInt16LE(code, start);
    buffer.writeUInt16LE(0, start + 2);
    buffer.writeUInt32LE(at - start - OP_HEADER_BYTES, start + 4);
  }
  buffer.writeUInt32LE(PLAN_MAGIC, 0);
  buffer.writeUInt32LE(PLAN_VERSION, 4);
  buffer.writeUInt32LE(at, 8);
  buffer.writeUInt32LE(fdCount, 12);
  return buffer.subarray(0, at);
}
