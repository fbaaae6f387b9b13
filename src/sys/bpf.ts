import { addon } from './addon.ts';
import { check, isErrno, SysError } from './error.ts';
import { Fd, type FdLike, numberOf } from './fd.ts';

const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_GET_FD_BY_ID = 13;

/** Attach beside programs of other cgroups and of this one; all must allow. */
export const BPF_F_ALLOW_MULTI = 2;
/** Attach in the place of `replace`. */
export const BPF_F_REPLACE = 4;

/**
 * Loads device-control instructions (struct bpf_insn[], 8 bytes each) for cgroup v2. The program lives as long as a
 * descriptor or an attachment does. Errors: by errno, for `invalid` and `denied` with the verifier's words.
 */
export function loadDeviceProgram(instructions: Uint8Array, license = 'Apache-2.0'): Fd {
  const load = (log: Uint8Array | null): number =>
    addon().bpfProgLoad(BPF_PROG_TYPE_CGROUP_DEVICE, instructions, license, log);
  let result = load(null);
  if (result >= 0) return Fd.adopt(result);
  // Only a program the verifier refuses is worth a second, explained try.
  const log = Buffer.alloc(64 * 1024);
  result = load(log);
  if (result >= 0) return Fd.adopt(result);
  const end = log.indexOf(0);
  throw new SysError(
    'bpf(BPF_PROG_LOAD)',
    -result,
    undefined,
    log
      .toString('utf8', 0, end < 0 ? log.length : end)
      .trim()
      .replaceAll('\n', '; '),
  );
}

/** Attaches a device program to a cgroup v2 directory. Errors: by errno. */
export function attachDeviceProgram(
  cgroup: FdLike,
  program: FdLike,
  options: { flags?: number; replace?: FdLike } = {},
): void {
  const attr = new Uint32Array(5);
  attr[0] = numberOf(cgroup);
  attr[1] = numberOf(program);
  attr[2] = BPF_CGROUP_DEVICE;
  attr[3] = (options.flags ?? BPF_F_ALLOW_MULTI) | (options.replace === undefined ? 0 : BPF_F_REPLACE);
  attr[4] = options.replace === undefined ? 0 : numberOf(options.replace);
  check(addon().bpf(BPF_PROG_ATTACH, attr), 'bpf(BPF_PROG_ATTACH)');
}

/** Takes a device program off a cgroup. Errors: by errno; `not-found` when it is not attached. */
export function detachDeviceProgram(cgroup: FdLike, program: FdLike): void {
  const attr = Uint32Array.of(numberOf(cgroup), numberOf(program), BPF_CGROUP_DEVICE);
  check(addon().bpf(BPF_PROG_DETACH, attr), 'bpf(BPF_PROG_DETACH)');
}

/** Ids of the device programs attached to this very cgroup. Errors: by errno. */
export function attachedDevicePrograms(cgroup: FdLike): number[] {
  for (let room = 64; ; room *= 4) {
    const ids = new Uint32Array(room);
    try {
      const count = check(addon().bpfProgQuery(numberOf(cgroup), BPF_CGROUP_DEVICE, ids), 'bpf(BPF_PROG_QUERY)');
      if (count <= room) return [...ids.subarray(0, count)];
    } catch (error) {
      if (!isErrno(error, 'ENOSPC') || room > 4096) throw error;
    }
  }
}

/** A descriptor of the program with an id, to detach or replace it. Errors: `not-found`, `denied`. */
export function programById(id: number): Fd {
  return Fd.adopt(
    check(addon().bpf(BPF_PROG_GET_FD_BY_ID, Uint32Array.of(id, 0, 0)), 'bpf(BPF_PROG_GET_FD_BY_ID)', String(id)),
  );
}
