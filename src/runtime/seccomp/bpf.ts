import { TareError } from '../../base/errors.ts';

/** Classic BPF opcodes a filter is made of (linux/bpf_common.h). */
export const bpf = {
  /** BPF_LD|BPF_W|BPF_ABS: load a word of seccomp_data. */
  LOAD: 0x20,
  /** BPF_ALU|BPF_AND|BPF_K. */
  AND: 0x54,
  /** BPF_JMP|BPF_JA. */
  JUMP: 0x05,
  /** BPF_JMP|BPF_JEQ|BPF_K, BPF_JGT, BPF_JGE. */
  JEQ: 0x15,
  JGT: 0x25,
  JGE: 0x35,
  /** BPF_RET|BPF_K. */
  RETURN: 0x06,
} as const;

/** BPF_MAXINSNS. */
export const MAX_INSTRUCTIONS = 4096;
/** Conditional jumps reach this far; two less leave room for the trampolines of both targets. */
const REACH = 255 - 2;
const INSTRUCTION_BYTES = 8;

/** A place in a program under construction: instructions counted from its end. */
export type Label = number;

/**
 * Writes a program from its end to its beginning, so that every jump (they only go forward) knows how far it goes. Jumps too far for their 8-bit
 * offset go through an unconditional one; returns are shared while in reach, else repeated.
 */
export class BackwardAssembler {
  readonly #instructions: (readonly [code: number, jt: number, jf: number, k: number])[] = [];
  readonly #returns = new Map<number, Label>();

  #push(code: number, jt: number, jf: number, k: number): Label {
    return this.#instructions.push([code, jt, jf, k >>> 0]) - 1;
  }

  /** Instructions between the next one written and `label`. */
  #distance(label: Label): number {
    return this.#instructions.length - 1 - label;
  }

  #near(label: Label): Label {
    return this.#distance(label) <= REACH ? label : this.#push(bpf.JUMP, 0, 0, this.#distance(label));
  }

  /** RET value. */
  ret(value: number): Label {
    const known = this.#returns.get(value);
    if (known !== undefined && this.#distance(known) <= REACH) return known;
    const label = this.#push(bpf.RETURN, 0, 0, value);
    this.#returns.set(value, label);
    return label;
  }

  /** Compares the accumulator with k. */
  branch(code: number, k: number, whenTrue: Label, whenFalse: Label): Label {
    if (whenTrue === whenFalse) return whenTrue;
    const nearTrue = this.#near(whenTrue);
    const nearFalse = this.#near(whenFalse);
    return this.#push(code, this.#distance(nearTrue), this.#distance(nearFalse), k);
  }

  /** An instruction that goes on at `next`: LOAD, AND. */
  onward(code: number, k: number, next: Label): Label {
    if (this.#distance(next) !== 0) this.#push(bpf.JUMP, 0, 0, this.#distance(next));
    return this.#push(code, 0, 0, k);
  }

  /** The program, struct sock_filter[], beginning at `entry`. Errors: `exhausted` when it is longer than the kernel takes. */
  finish(entry: Label): Uint8Array {
    if (this.#distance(entry) !== 0) this.#push(bpf.JUMP, 0, 0, this.#distance(entry));
    const count = this.#instructions.length;
    if (count > MAX_INSTRUCTIONS) {
      throw new TareError(
        'exhausted',
        `Cannot compile seccomp profile: it needs ${count} instructions, the kernel takes ${MAX_INSTRUCTIONS}`,
      );
    }
    const bytes = new Uint8Array(count * INSTRUCTION_BYTES);
    const view = new DataView(bytes.buffer);
    for (const [index, [code, jt, jf, k]] of this.#instructions.entries()) {
      const at = (count - 1 - index) * INSTRUCTION_BYTES;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, jt);
      view.setUint8(at + 3, jf);
      view.setUint32(at + 4, k, true);
    }
    return bytes;
  }
}
