import type { SeccompArg } from '../../spec/runtime-types.ts';
import { type BackwardAssembler, type Label, bpf } from './bpf.ts';

const U64 = 0xffffffffffffffffn;
/** Offset of args[0] in seccomp_data. */
const ARGS_OFFSET = 16;

/** A comparison of one argument, in numbers. */
export interface Condition {
  readonly index: number;
  readonly op: SeccompArg['op'];
  readonly value: bigint;
  /** For MASKED_EQ: what must remain under the mask `value`. */
  readonly second: bigint;
}

/** Reads an OCI argument condition. */
export function toCondition(arg: SeccompArg): Condition {
  return { index: arg.index, op: arg.op, value: BigInt(arg.value) & U64, second: BigInt(arg.valueTwo ?? 0) & U64 };
}

/** Emits the comparison: on to `yes` when it holds, else to `no`. */
export function emitCondition(
  out: BackwardAssembler,
  condition: Condition,
  wide: boolean,
  yes: Label,
  no: Label,
): Label {
  const { index, op, value, second } = condition;
  const low = ARGS_OFFSET + index * 8;
  const split = (number: bigint): readonly [high: number, low: number] => [
    Number(number >> 32n),
    Number(number & 0xffffffffn),
  ];
  const [high1, low1] = split(value);

  /** One half: load, maybe mask, compare. */
  const half = (
    offset: number,
    code: number,
    k: number,
    whenTrue: Label,
    whenFalse: Label,
    mask = 0xffffffff,
  ): Label => {
    if (code === bpf.JEQ && mask === 0) return (k & mask) >>> 0 === 0 ? whenTrue : whenFalse;
    const compared = out.branch(code, k, whenTrue, whenFalse);
    return out.onward(bpf.LOAD, offset, mask === 0xffffffff ? compared : out.onward(bpf.AND, mask, compared));
  };
  const equal = (whenTrue: Label, whenFalse: Label): Label => {
    const lowPart = half(low, bpf.JEQ, low1, whenTrue, whenFalse);
    return wide ? half(low + 4, bpf.JEQ, high1, lowPart, whenFalse) : lowPart;
  };
  /** Greater (JGT) or greater-or-equal (JGE), unsigned. */
  const above = (code: number, whenTrue: Label, whenFalse: Label): Label => {
    const lowPart = half(low, code, low1, whenTrue, whenFalse);
    if (!wide) return lowPart;
    const same = out.branch(bpf.JEQ, high1, lowPart, whenFalse);
    return out.onward(bpf.LOAD, low + 4, out.branch(bpf.JGT, high1, whenTrue, same));
  };
  switch (op) {
    case 'SCMP_CMP_EQ':
      return equal(yes, no);
    case 'SCMP_CMP_NE':
      return equal(no, yes);
    case 'SCMP_CMP_GT':
      return above(bpf.JGT, yes, no);
    case 'SCMP_CMP_GE':
      return above(bpf.JGE, yes, no);
    case 'SCMP_CMP_LE':
      return above(bpf.JGT, no, yes);
    case 'SCMP_CMP_LT':
      return above(bpf.JGE, no, yes);
    case 'SCMP_CMP_MASKED_EQ': {
      const [maskHigh, maskLow] = split(value);
      const [high2, low2] = split(second & value);
      const lowPart = half(low, bpf.JEQ, low2, yes, no, maskLow);
      return wide ? half(low + 4, bpf.JEQ, high2, lowPart, no, maskHigh) : lowPart;
    }
  }
}
