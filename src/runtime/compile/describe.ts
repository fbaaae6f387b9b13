import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import type { Op } from '../../sys/plan/schema.ts';

const NO_STEP = 0xffffffff;
const resources =
  'cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime'.split(' ');

/**
 * Says in the user's terms which step of a Plan failed: "Cannot mount proc on /proc: EPERM".
 *
 * `step` is an index into the compiled ops (0xffffffff: before any), `errno` positive, `text` the helper's own words (a path, or the kernel's log).
 */
export function describeStep(ops: readonly Op[], step: number, errno: number, text: string): string {
  const name = errorName(errno);
  const op = step === NO_STEP ? undefined : ops[step];
  if (op === undefined) return `Cannot start container: ${name}${text === '' ? '' : ` (${text})`}`;
  if (op.op === 'exec') return describeExec(op, name, text);
  const action = actionOf(op);
  const detail = text === '' || action.includes(text) ? '' : ` (${text})`;
  return `Cannot ${action}: ${name}${words(errno)}${detail}${hint(op, name)}`;
}

function errorName(errno: number): string {
  const name = errno > 0 ? getSystemErrorName(-errno) : '';
  return /^E[A-Z0-9]+$/.test(name) ? name : `error ${errno}`;
}

/** " (no space left on device)": what the C library says of an errno. */
function words(errno: number): string {
  return errno > 0 ? ` (${getSystemErrorMessage(-errno)})` : '';
}

function describeExec(op: Extract<Op, { op: 'exec' }>, name: string, text: string): string {
  const command = op.argv[0] ?? '';
  const file = text === '' ? command : text;
  if (name === 'ENOENT') {
    if (!command.includes('/')) return `Cannot execute ${command}: not found in $PATH`;
    return `Cannot execute ${command}: no such file, or the interpreter it names is missing`;
  }
  if (name === 'EACCES') return `Cannot execute ${file}: permission denied`;
  if (name === 'ENOEXEC') return `Cannot execute ${file}: not a program for this machine (a script needs a #! line)`;
  return `Cannot execute ${file}: ${name}`;
}

function actionOf(op: Op): string {
  switch (op.op) {
    case 'clone':
      return 'create namespaces';
    case 'join':
    case 'enter':
      return 'join namespaces';
    case 'idmap':
      return 'map user and group ids';
    case 'timens':
      return 'set clock offsets';
    case 'stdioOwner':
      return 'give the standard streams to the process';
    case 'oomScoreAdj':
      return `set OOM score adjustment ${op.value}`;
    case 'cgroupTask':
      return 'enter cgroup';
    case 'unshare':
      return 'create cgroup namespace';
    case 'root':
      return 'attach root file system';
    case 'mountFs':
      return `mount ${op.type} on ${op.target}`;
    case 'mountFd':
      return `bind on ${op.target}`;
    case 'readonlyPath':
      return `make ${op.target} read-only`;
    case 'mask':
      return `mask ${op.target}`;
    case 'mknod':
      return `make device ${op.target}`;
    case 'symlink':
      return `make link ${op.target}`;
    case 'mkdir':
      return `make directory ${op.target}`;
    case 'pivot':
      return 'change to the new root';
    case 'rootAttr':
      return 'set attributes of the root mount';
    case 'hostname':
    case 'domainname':
      return `set ${op.op} ${op.name}`;
    case 'loopback':
      return 'bring up the loopback interface';
    case 'sysctl':
      return `set sysctl ${op.path.replaceAll('/', '.')}`;
    case 'rlimit':
      return `set limit ${resources[op.resource] ?? String(op.resource)}`;
    case 'barrier':
      return 'wait for the monitor';
    case 'hook':
    case 'hookHere':
      return `run hook ${op.path}`;
    case 'keyring':
      return 'create session keyring';
    case 'tty':
      return 'set up terminal';
    case 'user':
      return `become user ${op.uid}:${op.gid}`;
    case 'caps':
    case 'capsBounding':
      return 'set capabilities';
    case 'cwd':
      return `enter working directory ${op.path}`;
    case 'seccomp':
      return 'install seccomp filter';
    case 'procAttr':
      return `set ${op.name} to ${op.text}`;
    default:
      return `do ${op.op}`;
  }
}

/** What a person can do about the failures people meet. */
function hint(op: Op, name: string): string {
  if (op.op === 'mountFs' && op.type === 'proc' && name === 'EPERM')
    return '; the /proc of this machine is partly masked (it is a container itself?), so a new one may not show more';
  if (op.op === 'mountFs' && name === 'ENODEV') return '; the kernel does not know this file system';
  if (op.op === 'clone' && name === 'ENOSPC') return '; the limit of namespaces is reached (see /proc/sys/user)';
  if (op.op === 'clone' && name === 'EBUSY')
    return '; the cgroup has controllers enabled for its children and cannot hold processes';
  if (op.op === 'rlimit' && name === 'EPERM')
    return '; it is above the hard limit of the runtime, which lacks CAP_SYS_RESOURCE';
  if (op.op === 'cwd' && name === 'EXDEV') return '; it lies outside of the container';
  if ((op.op === 'mountFd' || op.op === 'mountFs') && name === 'ENOTDIR')
    return '; a directory and a file cannot be mounted on each other';
  if (op.op === 'mkdir' && name === 'EROFS') return '; the root file system is read-only';
  return '';
}
