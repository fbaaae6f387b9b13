import { addon } from './addon.ts';
import { overlayWay } from './mount-detached.ts';
import { AT_EMPTY_PATH } from './stat.ts';

/** What this kernel can do. Each is asked of the kernel itself, at its first use, without making anything. */
export interface Features {
  readonly openat2: boolean;
  /** fsopen, fsmount, move_mount, open_tree. */
  readonly mountApi: boolean;
  readonly mountSetattr: boolean;
  /** This user may mount overlayfs. */
  readonly overlay: boolean;
  /** overlayfs takes `lowerdir+`. */
  readonly overlayAppend: boolean;
  /** Mounts can be id-mapped; whether a file system takes part only a try tells. */
  readonly idMappedMounts: boolean;
  readonly pidfd: boolean;
  readonly cloneIntoCgroup: boolean;
  /** Landlock's ABI version, 0: none. */
  readonly landlockAbi: number;
  /** The SECCOMP_FILTER_FLAG_* bits the kernel knows; -1 when it has no seccomp filters. */
  readonly seccompFlags: number;
}

const EPERM = 1;
const EBADF = 9;
const EFAULT = 14;
const ENOSYS = 38;
/** No process can have it: above every RLIMIT_NOFILE, yet a valid int. */
const NO_SUCH_FD = 0x7fffffff;
const CLONE_INTO_CGROUP = 0x200000000n;
const SIGCHLD = 17n;
const SECCOMP_SET_MODE_FILTER = 1;
/** TSYNC, LOG, SPEC_ALLOW, NEW_LISTENER, TSYNC_ESRCH; WAIT_KILLABLE_RECV only goes with NEW_LISTENER. */
const SECCOMP_FLAGS = [1, 2, 4, 8, 16] as const;
const NEW_LISTENER = 8;
const WAIT_KILLABLE_RECV = 32;
const LANDLOCK_CREATE_RULESET_VERSION = 1;
const MOUNT_ATTR_IDMAP = 0x100000n;

function closing(fd: number): boolean {
  if (fd >= 0) addon().close(fd);
  return fd >= 0;
}

const probes: { readonly [N in keyof Features]: () => Features[N] } = {
  openat2: () => closing(addon().openat2(-100, '/', new Uint32Array([0o12000000, 0, 0, 0, 0, 0]))),
  mountApi: () => addon().fsmount(-1, 0, 0) !== -ENOSYS,
  mountSetattr: () => addon().mountSetattr(-1, '', AT_EMPTY_PATH, new BigUint64Array(4)) !== -ENOSYS,
  overlay: () => closing(addon().fsopen('overlay', 1)),
  overlayAppend: () => {
    try {
      return overlayWay() === 'appended';
    } catch {
      return false;
    }
  },
  idMappedMounts: () => {
    const result = addon().mountSetattr(
      -1,
      '',
      AT_EMPTY_PATH,
      BigUint64Array.of(MOUNT_ATTR_IDMAP, 0n, 0n, BigInt(NO_SUCH_FD)),
    );
    return result === -EBADF || result === -EPERM;
  },
  pidfd: () => closing(addon().pidfdOpen(process.pid, 0)),
  cloneIntoCgroup: () => {
    // struct clone_args: flags, ..., exit_signal at word 4, cgroup at word 10. The descriptor cannot exist: nothing is cloned.
    const args = new BigUint64Array(11);
    args[0] = CLONE_INTO_CGROUP;
    args[4] = SIGCHLD;
    args[10] = BigInt(NO_SUCH_FD);
    return addon().clone3(args) === -EBADF;
  },
  landlockAbi: () => Math.max(0, addon().landlockCreateRuleset(null, LANDLOCK_CREATE_RULESET_VERSION)),
  seccompFlags: () => {
    // Without a program a known flag ends in EFAULT, an unknown one in EINVAL before that.
    const known = (flags: number): boolean => addon().seccomp(SECCOMP_SET_MODE_FILTER, flags, null) === -EFAULT;
    if (!known(0)) return -1;
    let bits = 0;
    for (const flag of SECCOMP_FLAGS) if (known(flag)) bits |= flag;
    if (known(NEW_LISTENER | WAIT_KILLABLE_RECV)) bits |= WAIT_KILLABLE_RECV;
    return bits;
  },
};

const cache: { -readonly [N in keyof Features]?: Features[N] } = {};

function probed<N extends keyof Features>(name: N): Features[N] {
  const known = cache[name];
  if (known !== undefined) return known as Features[N];
  const value = probes[name]();
  cache[name] = value;
  return value;
}

/** The kernel's features, each probed when it is first read and then remembered. `overrides` replace what the kernel says (tests, --without). */
export function kernelFeatures(overrides: Partial<Features> = {}): Features {
  const features = {};
  for (const name of Object.keys(probes) as (keyof Features)[]) {
    Object.defineProperty(features, name, { enumerable: true, get: () => overrides[name] ?? probed(name) });
  }
  return features as Features;
}
