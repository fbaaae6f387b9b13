import { ACCESS_ALL, decidesAll, type DeviceRule } from './device-rules.ts';

/** Registers of the program: the verifier starts it with the context in r1 and takes the verdict from r0. */
const R0 = 0;
const CONTEXT = 1;
const TYPE = 2;
/** The accesses asked for that no rule has decided yet. */
const PENDING = 3;
const MAJOR = 4;
const MINOR = 5;

/** linux/bpf_common.h, linux/bpf.h: class | source | operation. */
const LDX_W = 0x61;
const MOV32_K = 0xb4;
const AND32_K = 0x54;
const MOV32_X = 0xbc;
const RSH32_K = 0x74;
/** 32-bit compares: a 64-bit one would extend the sign of a number above 2^31. */
const JNE_K = 0x56;
const JSET_K = 0x46;
const JA = 0x05;
const EXIT = 0x95;

/** BPF_DEVCG_DEV_*. */
const DEV_BLOCK = 1;
const DEV_CHAR = 2;

interface Instruction {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
}

const insn = (code: number, dst: number, src: number, off: number, imm: number): Instruction => ({
  code,
  dst,
  src,
  off,
  imm,
});
const verdict = (allow: boolean): Instruction[] => [insn(MOV32_K, R0, 0, 0, allow ? 1 : 0), insn(EXIT, 0, 0, 0, 0)];

/**
 * Compiles an ordered rule list to a program for BPF_PROG_TYPE_CGROUP_DEVICE: struct bpf_insn[], in this machine's (little-endian) order.
 *
 * The last matching rule wins, for each of read, write and mknod alone: an access is allowed when all it asks for is; what no rule matches is denied.
 * The rules are tried from the last to the first, so that the first match decides. No loops, at most nine instructions a rule.
 */
export function compileDeviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program: Instruction[] = [
    // struct bpf_cgroup_dev_ctx { u32 access_type /* access << 16 | type */, major, minor }
    insn(LDX_W, TYPE, CONTEXT, 0, 0),
    insn(MOV32_X, PENDING, TYPE, 0, 0),
    insn(RSH32_K, PENDING, 0, 0, 16),
    insn(AND32_K, TYPE, 0, 0, 0xffff),
    insn(LDX_W, MAJOR, CONTEXT, 4, 0),
    insn(LDX_W, MINOR, CONTEXT, 8, 0),
  ];
  for (const rule of rules.toReversed()) {
    if (decidesAll(rule)) {
      program.push(...verdict(rule.allow));
      return encode(program);
    }
    program.push(...ruleBlock(rule));
  }
  program.push(...verdict(false));
  return encode(program);
}

/** Tests of the device, each jumping behind the block when it fails, then the decision. */
function ruleBlock(rule: DeviceRule): Instruction[] {
  const tests: { register: number; value: number }[] = [];
  if (rule.type !== 'a') tests.push({ register: TYPE, value: rule.type === 'b' ? DEV_BLOCK : DEV_CHAR });
  if (rule.major !== -1) tests.push({ register: MAJOR, value: rule.major });
  if (rule.minor !== -1) tests.push({ register: MINOR, value: rule.minor });
  const decision = rule.allow
    ? // Granted what the rule grants; when nothing is left to decide, allowed.
      [insn(AND32_K, PENDING, 0, 0, ACCESS_ALL & ~rule.access), insn(JNE_K, PENDING, 0, 2, 0), ...verdict(true)]
    : // Denied as soon as one pending access is.
      [insn(JSET_K, PENDING, 0, 1, rule.access), insn(JA, 0, 0, 2, 0), ...verdict(false)];
  return [
    ...tests.map(({ register, value }, index) =>
      insn(JNE_K, register, 0, tests.length - 1 - index + decision.length, value | 0),
    ),
    ...decision,
  ];
}

function encode(program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, dst, src, off, imm }, index) => {
    view.setUint8(index * 8, code);
    view.setUint8(index * 8 + 1, (src << 4) | dst);
    view.setInt16(index * 8 + 2, off, true);
    view.setInt32(index * 8 + 4, imm, true);
  });
  return bytes;
}
