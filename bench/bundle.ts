import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The profile that podman gives its containers. */
const profilePath = '/usr/share/containers/seccomp.json';

const capabilities = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/sys/firmware',
  '/sys/fs/selinux',
  '/sys/devices/virtual/powercap',
];
const readonlyPaths = ['/proc/asound', '/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** Only what we read of the profile. */
interface Profile {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly archMap?: readonly { readonly architecture: string; readonly subArchitectures?: readonly string[] }[];
  readonly syscalls: readonly ProfileRule[];
}

interface ProfileRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly args?: readonly object[] | null;
  readonly errnoRet?: number;
  readonly includes?: { readonly arches?: readonly string[]; readonly caps?: readonly string[] };
  readonly excludes?: { readonly arches?: readonly string[]; readonly caps?: readonly string[] };
}

/**
 * Writes a bundle that asks an OCI runtime for what an engine asks by default: all namespaces, default capabilities, device rules, masks,
 * a pids limit, the distribution's seccomp profile (left out where the machine has none). Its root is `rootfs` itself, read-only: an OCI
 * runtime is handed a mounted root, so no overlay is in its figure.
 */
export function makeBundle(target: string, rootfs: string, cgroupParent: string): string {
  const config = {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 0, gid: 0 },
      args: ['true'],
      env: ['PATH=/bin'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: false,
    },
    root: { path: rootfs, readonly: true },
    hostname: 'bench',
    mounts: [
      mount('/proc', 'proc', 'nosuid', 'noexec', 'nodev'),
      mount('/dev', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
      mount('/sys', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
      mount('/dev/pts', 'devpts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'),
      mount('/dev/mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
      mount('/dev/shm', 'tmpfs', 'nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'),
      mount('/sys/fs/cgroup', 'cgroup', 'nosuid', 'noexec', 'nodev', 'ro'),
    ],
    linux: {
      namespaces: ['pid', 'mount', 'network', 'ipc', 'uts', 'cgroup'].map((type) => ({ type })),
      cgroupsPath: `${cgroupParent}/bundle`,
      resources: {
        devices: [{ allow: false, access: 'rwm' }],
        pids: { limit: 2048 },
      },
      maskedPaths,
      readonlyPaths,
      seccomp: existsSync(profilePath)
        ? ociSeccomp(JSON.parse(readFileSync(profilePath, 'utf8')) as Profile)
        : undefined,
    },
  };
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'config.json'), JSON.stringify(config));
  return target;
}

function mount(destination: string, type: string, ...options: string[]): object {
  return { destination, type, source: type, options };
}

/** The runtime spec's form of a profile, for this machine and the default capabilities. */
function ociSeccomp(profile: Profile): object {
  const architecture = process.arch === 'arm64' ? 'SCMP_ARCH_AARCH64' : 'SCMP_ARCH_X86_64';
  const goName = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const holds = (rule: ProfileRule): boolean => {
    const { includes = {}, excludes = {} } = rule;
    if (includes.arches !== undefined && !includes.arches.includes(goName)) return false;
    if (excludes.arches?.includes(goName) === true) return false;
    if (includes.caps?.some((cap) => !capabilities.includes(cap)) === true) return false;
    return excludes.caps?.some((cap) => capabilities.includes(cap)) !== true;
  };
  const sub = profile.archMap?.find((entry) => entry.architecture === architecture)?.subArchitectures ?? [];
  return {
    defaultAction: profile.defaultAction,
    defaultErrnoRet: profile.defaultErrnoRet,
    architectures: [architecture, ...sub],
    syscalls: profile.syscalls.filter(holds).map(({ names, action, args, errnoRet }) => ({
      names,
      action,
      ...(errnoRet === undefined || action !== 'SCMP_ACT_ERRNO' ? {} : { errnoRet }),
      ...(args === undefined || args === null || args.length === 0 ? {} : { args }),
    })),
  };
}
