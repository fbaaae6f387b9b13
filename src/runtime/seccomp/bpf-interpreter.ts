/** What the kernel tells a filter about a call (struct seccomp_data). */
export interface SeccompData {
  readonly nr: number;
  /** AUDIT_ARCH_*. */
  readonly arch: number;
  /** Six; missing ones are 0. */
  readonly args?: readonly bigint[];
}

/** What a filter decided, and whether it had to look at the arguments. */
export interface FilterResult {
  readonly value: number;
  readonly usedArgs: boolean;
  /** Instructions executed. */
  readonly steps: number;
}

const DATA_BYTES = 64;
const ARGS_OFFSET = 16;

/**
 * Runs a classic BPF filter as the kernel does, refusing what its checker refuses: unknown instructions, jumps out of the program, loads outside of
 * seccomp_data, no return at the end. For tests and for explaining a filter.
 *
 * Errors: a plain Error naming the instruction.
 */
export function interpret(filter: Uint8Array, call: SeccompData): FilterResult {
  const program = new DataView(filter.buffer, filter.byteOffset, filter.length);
  const data = new DataView(new ArrayBuffer(DATA_BYTES));
  data.setUint32(0, call.nr >>> 0, true);
  data.setUint32(4, call.arch, true);
  for (const [index, arg] of (call.args ?? []).entries()) data.setBigUint64(ARGS_OFFSET + index * 8, arg, true);
  const count = filter.length / 8;
  let accumulator = 0;
  let index = 0;
  let x = 0;
  let usedArgs = false;
  const memory = new Uint32Array(16);
  for (let steps = 1; ; steps++) {
    if (!(index < count)) throw new Error(`filter ends without a return at ${index}`);
    const at = index * 8;
    const code = program.getUint16(at, true);
    const [jt, jf, k] = [program.getUint8(at + 2), program.getUint8(at + 3), program.getUint32(at + 4, true)];
    index++;
    switch (code) {
      case 0x20: // ld [k]
        if (k % 4 !== 0 || k >= DATA_BYTES) throw new Error(`bad load of ${k} at ${index - 1}`);
        accumulator = data.getUint32(k, true);
        usedArgs ||= k >= ARGS_OFFSET;
        break;
      case 0x00: // ld #k
        accumulator = k;
        break;
      case 0x02: // st M[k]
        memory[k] = accumulator;
        break;
      case 0x60: // ld M[k]
        accumulator = memory[k] ?? 0;
        break;
      case 0x07: // tax
        x = accumulator;
        break;
      case 0x87: // txa
        accumulator = x;
        break;
      case 0x54: // and #k
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05: // ja
        index += k;
        break;
      case 0x15: // jeq
        index += accumulator === k ? jt : jf;
        break;
      case 0x25: // jgt
        index += accumulator > k ? jt : jf;
        break;
      case 0x35: // jge
        index += accumulator >= k ? jt : jf;
        break;
      case 0x45: // jset
        index += (accumulator & k) !== 0 ? jt : jf;
        break;
      case 0x06: // ret #k
        return { value: k, usedArgs, steps };
      default:
        throw new Error(`unknown instruction 0x${code.toString(16)} at ${index - 1}`);
    }
  }
}
