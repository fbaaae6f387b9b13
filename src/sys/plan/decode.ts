import { TareError } from '../../base/errors.ts';
import {
  type FieldType,
  NO_FD,
  type Op,
  type OpName,
  PLAN_MAGIC,
  PLAN_MAX_BYTES,
  PLAN_MAX_FDS,
  PLAN_VERSION,
  planOps,
} from './schema.ts';

const HEADER_BYTES = 16;
const OP_HEADER_BYTES = 8;

const byCode: ReadonlyMap<number, OpName> = new Map(
  Object.entries(planOps).map(([name, { code }]) => [code, name as OpName]),
);

/** A Plan read back: its operations in order (u64 fields as bigint) and the length of its descriptor table. */
export interface DecodedPlan {
  readonly ops: Op[];
  readonly fdCount: number;
}

/**
 * Reads a Plan with the helper's own rules (docs/reference/plan.md).
 * Errors: `invalid`, naming the op and the byte, for whatever the helper would refuse.
 */
export function decodePlan(plan: Uint8Array): DecodedPlan {
  const bytes = Buffer.from(plan.buffer, plan.byteOffset, plan.length);
  const fail = (at: number, state: string): never => {
    throw new TareError('invalid', `Cannot read plan: ${state} at byte ${at}`);
  };
  if (bytes.length < HEADER_BYTES) fail(0, 'its header is cut short');
  if (bytes.length > PLAN_MAX_BYTES) fail(0, `it exceeds ${PLAN_MAX_BYTES} bytes`);
  if (bytes.readUInt32LE(0) !== PLAN_MAGIC) fail(0, 'wrong magic');
  if (bytes.readUInt32LE(4) !== PLAN_VERSION) fail(4, `version ${bytes.readUInt32LE(4)} instead of ${PLAN_VERSION}`);
  if (bytes.readUInt32LE(8) !== bytes.length)
    fail(8, `a length of ${bytes.readUInt32LE(8)} instead of ${bytes.length}`);
  const fdCount = bytes.readUInt32LE(12);
  if (fdCount > PLAN_MAX_FDS) fail(12, `${fdCount} descriptors, at most ${PLAN_MAX_FDS},`);

  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const ops: Op[] = [];
  let at = HEADER_BYTES;
  while (at < bytes.length) {
    if (bytes.length - at < OP_HEADER_BYTES) fail(at, `op ${ops.length}: its header is cut short`);
    const code = bytes.readUInt16LE(at);
    const name = byCode.get(code) ?? fail(at, `op ${ops.length}: unknown code ${code}`);
    if (bytes.readUInt16LE(at + 2) !== 0) fail(at + 2, `op ${ops.length} (${name}): reserved bits are set`);
    const end = at + OP_HEADER_BYTES + bytes.readUInt32LE(at + 4);
    if (end > bytes.length) fail(at + 4, `op ${ops.length} (${name}): its payload crosses the end of the plan`);
    at += OP_HEADER_BYTES;
    let field = '';
    const take = (count: number): number => {
      if (count > end - at) fail(at, `op ${ops.length} (${name}): ${field} crosses the end of its payload`);
      at += count;
      return at - count;
    };
    const u32 = (): number => bytes.readUInt32LE(take(4));
    const counted = (): Buffer => {
      const length = u32();
      const from = take(length + 1);
      if (bytes[from + length] !== 0)
        fail(from + length, `op ${ops.length} (${name}): ${field} does not end in a NUL byte`);
      return bytes.subarray(from, from + length);
    };
    const str = (): string => {
      const text = counted();
      if (text.includes(0)) fail(at, `op ${ops.length} (${name}): NUL byte in ${field}`);
      try {
        return utf8.decode(text);
      } catch {
        return fail(at, `op ${ops.length} (${name}): ${field} is not UTF-8`);
      }
    };
    const read = (type: FieldType): unknown => {
      switch (type) {
        case 'u32':
          return u32();
        case 'i32':
          return bytes.readInt32LE(take(4));
        case 'u64':
          return bytes.readBigUInt64LE(take(8));
        case 'fd': {
          const slot = u32();
          if (slot >= fdCount && slot !== NO_FD)
            fail(at - 4, `op ${ops.length} (${name}): ${field} names descriptor ${slot} of ${fdCount}`);
          return slot;
        }
        case 'str':
          return str();
        case 'blob':
          return Buffer.from(counted());
        case 'strv': {
          const count = u32();
          // Each takes five bytes at least: a wild count fails here and not after filling memory.
          if (count > (end - at) / 5)
            fail(at - 4, `op ${ops.length} (${name}): ${field} crosses the end of its payload`);
          return Array.from({ length: count }, str);
        }
      }
    };
    const op: Record<string, unknown> = { op: name };
    for (const [key, type] of Object.entries(planOps[name].fields) as [string, FieldType][]) {
      field = key;
      op[key] = read(type);
    }
    if (at !== end) fail(at, `op ${ops.length} (${name}): ${end - at} bytes too many`);
    ops.push(op as unknown as Op);
  }
  return { ops, fdCount };
}
