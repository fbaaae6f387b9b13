import { decodePlan } from './decode.ts';
import {
  bitNames,
  capabilityBits,
  cloneBits,
  mountAttrBits,
  propagationBits,
  resourceName,
  seccompFlagBits,
  signalName,
} from './names.ts';
import { type FieldType, NO_FD, type Op, type OpName, planConstants, planOps } from './schema.ts';

/** How a Plan is printed. */
export interface PrintOptions {
  /** Show the values of environment variables; else only their names, as they may be secrets. */
  readonly environment?: boolean;
}

type Printers = { readonly [N in OpName]?: (op: Extract<Op, { op: N }>) => string };

const q = (text: string): string => JSON.stringify(text);
const list = (items: readonly string[]): string => `[${items.map(q).join(', ')}]`;
const fd = (slot: number): string => (slot === NO_FD ? 'none' : `fd ${slot}`);
const octal = (mode: number): string => `0${mode.toString(8)}`;
const hex = (value: bigint | number): string => (BigInt(value) === 0n ? '0' : `0x${value.toString(16)}`);
const attrs = (bits: bigint | number): string => bitNames(mountAttrBits, bits);
const propagate = (bits: bigint | number): string =>
  BigInt(bits) === 0n ? '' : `, ${bitNames(propagationBits, bits)}`;
const unlimited = 0xffffffffffffffffn;
const limit = (value: bigint | number): string => (BigInt(value) === unlimited ? 'unlimited' : String(value));
const recursively = (recursive: number): string => (recursive === 0 ? '' : ', AT_RECURSIVE');

const mountFlags = bits('MOUNT_OPTIONAL', 'MOUNT_COPYUP', 'MOUNT_NOFOLLOW');

function bits(...names: (keyof typeof planConstants)[]): [bigint, string][] {
  return names.map((name) => [BigInt(planConstants[name]), name]);
}

/** A constant of the schema by value, e.g. named('STDIO_', 2) = STDIO_PTY. */
function named(prefix: string, value: number): string {
  const entry = Object.entries(planConstants).find(([name, number]) => name.startsWith(prefix) && number === value);
  return entry?.[0] ?? String(value);
}

function groups(packed: Uint8Array): string {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  return `[${Array.from({ length: Math.floor(packed.length / 4) }, (_, index) => view.getUint32(index * 4, true)).join(', ')}]`;
}

/** Operations that read best as the calls they become; the others print their fields by name. */
const printers: Printers = {
  stop: (op) => `stop: kill(init, ${signalName(op.signal)}), after ${op.timeoutMs} ms SIGKILL`,
  clone: (op) => `clone3(${bitNames(cloneBits, op.flags)}, cgroup=${fd(op.cgroup)})`,
  join: (op) => `setns(${fd(op.fd)}, ${bitNames(cloneBits, op.nstype)})`,
  enter: (op) =>
    `setns(pidfd ${fd(op.pidfd)}, ${bitNames(cloneBits, op.flags)}); clone3(CLONE_PARENT, cgroup=${fd(op.cgroup)})`,
  oomScoreAdj: (op) => `write("/proc/self/oom_score_adj", ${op.value})${op.optional === 0 ? '' : ' or go on'}`,
  cgroupTask: (op) => `write(${fd(op.fd)}, "0")`,
  unshare: (op) => `unshare(${bitNames(cloneBits, op.flags)})`,
  setsid: () => 'setsid()',
  pdeathsig: (op) => `prctl(PR_SET_PDEATHSIG, ${signalName(op.signal)})`,
  root: (op) =>
    `mount_setattr("/", ${bitNames(propagationBits, op.propagation)}); move_mount(${fd(op.fd)}, ${q(op.at)})`,
  mountFs: (op) =>
    [
      `fsopen(${q(op.type)}, source=${q(op.source)})`,
      ...op.options.map((option) => `fsconfig(${q(option)})`),
      `fsmount(${attrs(op.attrs)})`,
      `move_mount(${q(op.target)}, mkdir=${octal(op.mkdir)}${op.flags === 0 ? '' : `, ${bitNames(mountFlags, op.flags)}`}${propagate(op.propagation)})`,
    ].join('; '),
  mountFd: (op) =>
    `mount_setattr(${fd(op.fd)}, set=${attrs(op.set)}, clear=${attrs(op.clear)}${recursively(op.recursive)}); move_mount(${fd(op.fd)}, ${q(op.target)}, ${named('KIND_', op.kind)}${op.flags === 0 ? '' : `, ${bitNames(mountFlags, op.flags)}`}${propagate(op.propagation)})`,
  readonlyPath: (op) => `bind(${q(op.target)}, MOUNT_ATTR_RDONLY)`,
  mask: (op) => `mask(${q(op.target)})`,
  mknod: (op) =>
    `mknodat(${q(op.target)}, ${octal(op.mode)}, makedev(${op.major}, ${op.minor})); fchownat(${op.uid}, ${op.gid})`,
  symlink: (op) => `symlinkat(${q(op.to)}, ${q(op.target)})`,
  mkdir: (op) => `mkdirat(${q(op.target)}, ${octal(op.mode)}); fchownat(${op.uid}, ${op.gid})`,
  pivot: () => 'pivot_root(".", "."); umount2(".", MNT_DETACH)',
  rootAttr: (op) =>
    `mount_setattr("/", set=${attrs(op.set)}, clear=${attrs(op.clear)}${recursively(op.recursive)}${propagate(op.propagation)})`,
  hostname: (op) => `sethostname(${q(op.name)})`,
  domainname: (op) => `setdomainname(${q(op.name)})`,
  loopback: () => 'ioctl(SIOCSIFFLAGS, "lo", IFF_UP)',
  sysctl: (op) => `write(${q(`/proc/sys/${op.path}`)}, ${q(op.value)})`,
  rlimit: (op) => `setrlimit(${resourceName(op.resource)}, ${limit(op.soft)}, ${limit(op.hard)})`,
  barrier: (op) => `barrier(${named('BARRIER_', op.kind)})`,
  personality: (op) => `personality(${hex(op.persona)})`,
  noNewPrivs: () => 'prctl(PR_SET_NO_NEW_PRIVS, 1)',
  capsBounding: (op) => `prctl(PR_CAPBSET_DROP, all but ${bitNames(capabilityBits, op.mask)})`,
  user: (op) =>
    `setgroups(${groups(op.groups)}); setresgid(${op.gid}); setresuid(${op.uid})${op.umask === 0xffffffff ? '' : `; umask(${octal(op.umask)})`}`,
  caps: (op) =>
    `capset(${(['effective', 'permitted', 'inheritable', 'ambient'] as const).map((set) => `${set}=${bitNames(capabilityBits, op[set])}`).join(', ')})`,
  cwd: (op) => `chdir(${q(op.path)})`,
  seccomp: (op) =>
    `seccomp(SECCOMP_SET_MODE_FILTER, ${bitNames(seccompFlagBits, op.flags)}, ${op.filter.length / 8} instructions)`,
  procAttr: (op) => `write(${q(`/proc/self/${op.name}`)}, ${q(op.text)})`,
};

function printEnvironment(env: readonly string[], options: PrintOptions): string {
  if (options.environment === true) return list(env);
  return list(env.map((entry) => (entry.includes('=') ? `${entry.slice(0, entry.indexOf('='))}=…` : entry)));
}

/** `name(field=value, ...)`, for operations that are no single call. */
function printFields(op: Op, options: PrintOptions): string {
  const values = op as unknown as Record<string, unknown>;
  const shown = (Object.entries(planOps[op.op].fields) as [string, FieldType][]).map(([name, type]) => {
    const value = values[name];
    if (name === 'env') return `env=${printEnvironment(value as string[], options)}`;
    if (op.op === 'stdio' && name === 'mode') return `mode=${named('STDIO_', value as number)}`;
    switch (type) {
      case 'fd':
        return `${name}=${fd(value as number)}`;
      case 'str':
        return `${name}=${q(value as string)}`;
      case 'strv':
        return `${name}=${list(value as string[])}`;
      case 'blob':
        return `${name}=${(value as Uint8Array).length} bytes`;
      default:
        return `${name}=${String(value)}`;
    }
  });
  return `${op.op}(${shown.join(', ')})`;
}

/** One operation on one line, as the system calls it becomes where there are some. */
export function printOp(op: Op, options: PrintOptions = {}): string {
  const printer = printers[op.op] as ((op: Op) => string) | undefined;
  return printer === undefined ? printFields(op, options) : printer(op);
}

/**
 * A Plan as text: a line per operation, numbered as the helper numbers its steps, ending in a newline.
 * Errors: `invalid` for bytes that are no Plan.
 */
export function printPlan(plan: Uint8Array, options: PrintOptions = {}): string {
  const { ops, fdCount } = decodePlan(plan);
  const lines = ops.map((op, index) => `${String(index).padStart(4)}  ${printOp(op, options)}`);
  return [`plan: ${ops.length} operations, ${fdCount} descriptors, ${plan.length} bytes`, ...lines, ''].join('\n');
}
