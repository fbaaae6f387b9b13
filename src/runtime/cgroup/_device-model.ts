/** For tests: what device rules mean, said three more times: by definition, by an interpreter of eBPF, and by the kernel's v1 algorithm. */
import { ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE, type DeviceRule } from './device-rules.ts';

export interface Device {
  readonly type: 'b' | 'c';
  readonly major: number;
  readonly minor: number;
}

const numbers = [-1, 1, 3_000_000_000] as const;

/** Every shape of rule over two numbers (one with the sign bit), and a wildcard. */
export const everyRule: readonly DeviceRule[] = [true, false].flatMap((allow) =>
  (['a', 'b', 'c'] as const).flatMap((type) =>
    numbers.flatMap((major) =>
      [-1, 2].flatMap((minor) => [2, 4, 5, 7].map((access) => ({ allow, type, major, minor, access }))),
    ),
  ),
);

export const devices: readonly Device[] = (['b', 'c'] as const).flatMap((type) =>
  [1, 3_000_000_000, 7].flatMap((major) => [2, 9].map((minor) => ({ type, major, minor }))),
);

/** What a process can ask for: mknod, or read, write, both. */
export const accesses: readonly number[] = [ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE, ACCESS_READ | ACCESS_WRITE];

const matches = (rule: Pick<DeviceRule, 'type' | 'major' | 'minor'>, device: Device): boolean =>
  (rule.type === 'a' || rule.type === device.type) &&
  (rule.major === -1 || rule.major === device.major) &&
  (rule.minor === -1 || rule.minor === device.minor);

/** The definition: for each access asked for alone, the last rule that matches decides; none: denied. */
export function decide(rules: readonly DeviceRule[], device: Device, access: number): boolean {
  return [ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE]
    .filter((bit) => access & bit)
    .every((bit) => rules.findLast((rule) => matches(rule, device) && (rule.access & bit) !== 0)?.allow === true);
}

/** Runs a device program. Throws for an instruction it does not know, a jump outside, a register never set, or no end. */
export function runProgram(program: Uint8Array, device: Device, access: number): boolean {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const context = [(access << 16) | (device.type === 'b' ? 1 : 2), device.major, device.minor];
  const registers: (bigint | undefined)[] = [undefined, 0n];
  const get = (index: number): bigint => {
    const value = registers[index];
    if (value === undefined) throw new Error(`r${index} was never set`);
    return value;
  };
  let pc = 0;
  for (let steps = 0; steps <= program.length / 8; steps++) {
    const code = view.getUint8(pc * 8);
    const dst = view.getUint8(pc * 8 + 1) & 15;
    const src = view.getUint8(pc * 8 + 1) >> 4;
    const off = view.getInt16(pc * 8 + 2, true);
    const imm = view.getInt32(pc * 8 + 4, true);
    const imm32 = BigInt(imm >>> 0);
    pc++;
    switch (code) {
      case 0x61:
        if (src !== 1 || off % 4 !== 0 || off < 0 || off > 8) throw new Error(`load from r${src}${off}`);
        registers[dst] = BigInt((context[off / 4] ?? 0) >>> 0);
        break;
      case 0xb4:
        registers[dst] = imm32;
        break;
      case 0xbc:
        registers[dst] = get(src) & 0xffff_ffffn;
        break;
      case 0x54:
        registers[dst] = get(dst) & imm32;
        break;
      case 0x74:
        registers[dst] = (get(dst) & 0xffff_ffffn) >> imm32;
        break;
      case 0x05:
        pc += off;
        break;
      case 0x56:
        if ((get(dst) & 0xffff_ffffn) !== imm32) pc += off;
        break;
      case 0x46:
        if ((get(dst) & imm32) !== 0n) pc += off;
        break;
      case 0x95:
        return get(0) !== 0n;
      default:
        throw new Error(`instruction ${code.toString(16)}`);
    }
    if (pc < 0 || pc * 8 >= program.length) throw new Error('jump outside the program');
  }
  throw new Error('the program does not end');
}

/** security/device_cgroup.c: one default, exceptions, matched whole when the default denies and partly when it allows. */
export function v1Verdict(lines: readonly { file: string; line: string }[], device: Device, access: number): boolean {
  let defaultAllow = true;
  let exceptions: DeviceRule[] = [];
  for (const { file, line } of lines) {
    const allow = file === 'devices.allow';
    if (line === 'a') {
      defaultAllow = allow;
      exceptions = [];
      continue;
    }
    const [, type, major, minor, letters = ''] = /^([bc]) (\S+):(\S+) (\w+)$/.exec(line) ?? [];
    if ((type !== 'b' && type !== 'c') || major === undefined || minor === undefined) throw new Error(`line ${line}`);
    if (allow === defaultAllow) throw new Error(`${line}: would take an exception back`);
    const bits = (letters.includes('r') ? 2 : 0) | (letters.includes('w') ? 4 : 0) | (letters.includes('m') ? 1 : 0);
    exceptions.push({
      allow,
      type,
      major: major === '*' ? -1 : Number(major),
      minor: minor === '*' ? -1 : Number(minor),
      access: bits,
    });
  }
  const hit = exceptions.some(
    (e) => matches(e, device) && (defaultAllow ? (e.access & access) !== 0 : (access & ~e.access) === 0),
  );
  return hit ? !defaultAllow : defaultAllow;
}
