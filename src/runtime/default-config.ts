import { TareError } from '../base/errors.ts';
import { allCapabilities, defaultCapabilities, tweakCapabilities } from '../spec/capabilities.ts';
import { parseUlimit } from '../spec/rlimits.ts';
import type {
  Device,
  DeviceRule,
  Linux,
  LinuxResources,
  LinuxSeccomp,
  Mount,
  Namespace,
  NamespaceType,
  RuntimeConfig,
} from '../spec/runtime-types.ts';
import { SECCOMP_ANNOTATION } from './compile/process.ts';
import { defaultPath, maskedPaths, readonlyPaths } from './default-paths.ts';

/** Where one of a container's namespaces comes from. */
export type NamespaceChoice = 'private' | 'host' | { readonly path: string };

/** A bind mount asked for by the user. */
export interface BindInput {
  /** Absolute host path. */
  readonly source: string;
  readonly destination: string;
  readonly readOnly?: boolean;
  /** Default true. */
  readonly recursive?: boolean;
  /** Further OCI mount options. */
  readonly options?: readonly string[];
}

/** Everything `defaultConfig` decides on. What is absent has docker's and podman's default. */
export interface DefaultConfigInput {
  readonly argv: readonly string[];
  readonly env?: readonly string[];
  /** Default "/". */
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly additionalGids?: readonly number[];
  /** Further groups; joined to `additionalGids`. */
  readonly groupAdd?: readonly number[];
  readonly umask?: number;
  readonly hostname?: string;
  readonly terminal?: boolean;
  readonly readonly?: boolean;
  readonly privileged?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly noNewPrivileges?: boolean;
  /** Default: the default profile, or none when privileged. */
  readonly seccomp?: 'default' | 'unconfined' | LinuxSeccomp;
  /** Device nodes besides the default ones, and the rules that let the container use them. */
  readonly devices?: readonly Device[];
  readonly deviceRules?: readonly DeviceRule[];
  /** Destination to tmpfs options. */
  readonly tmpfs?: Readonly<Record<string, readonly string[]>>;
  readonly binds?: readonly BindInput[];
  readonly sysctls?: Readonly<Record<string, string>>;
  /** "nofile=1024:2048". */
  readonly ulimits?: readonly string[];
  /** Default 64 MiB. */
  readonly shmSizeBytes?: number;
  readonly oomScoreAdj?: number;
  readonly namespaces?: Readonly<Partial<Record<'pid' | 'ipc' | 'uts' | 'network' | 'cgroup', NamespaceChoice>>>;
  /** Limits; device rules in it come after the default ones. */
  readonly resources?: LinuxResources;
  readonly cgroupsPath?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

const SHM_BYTES = 64 * 1024 * 1024;

/**
 * The OCI configuration docker and podman would make. Pure.
 *
 * Errors: `invalid` for unknown capabilities and limits, and no command.
 */
export function defaultConfig(input: DefaultConfigInput): RuntimeConfig {
  if (input.argv.length === 0) throw new TareError('invalid', 'Cannot make a container config: there is no command');
  const privileged = input.privileged === true;
  const capabilities = tweakCapabilities(
    privileged ? allCapabilities : defaultCapabilities,
    input.capAdd ?? [],
    input.capDrop ?? [],
  );
  const seccomp = input.seccomp ?? (privileged ? 'unconfined' : 'default');
  const env = input.env ?? [];
  const linux: Linux = {
    namespaces: namespaces(input),
    devices: input.devices ?? [],
    resources: {
      ...input.resources,
      devices: [
        { allow: privileged, access: 'rwm' },
        ...(input.deviceRules ?? []),
        ...(input.resources?.devices ?? []),
      ],
    },
    maskedPaths: privileged ? [] : maskedPaths,
    readonlyPaths: privileged ? [] : readonlyPaths,
    ...(input.sysctls === undefined ? {} : { sysctl: input.sysctls }),
    ...(input.cgroupsPath === undefined ? {} : { cgroupsPath: input.cgroupsPath }),
    ...(typeof seccomp === 'object' ? { seccomp } : {}),
  };
  return {
    ociVersion: '1.2.0',
    process: {
      terminal: input.terminal === true,
      user: {
        uid: input.uid ?? 0,
        gid: input.gid ?? 0,
        additionalGids: [...new Set([...(input.additionalGids ?? []), ...(input.groupAdd ?? [])])],
        ...(input.umask === undefined ? {} : { umask: input.umask }),
      },
      args: input.argv,
      env: env.some((entry) => entry.startsWith('PATH=')) ? env : [`PATH=${defaultPath}`, ...env],
      cwd: input.cwd ?? '/',
      // Inheritable and ambient stay empty (CVE-2022-29162 and its kin): a program gets what its file or uid 0 entitles it to.
      capabilities: {
        bounding: capabilities,
        effective: capabilities,
        permitted: capabilities,
        inheritable: [],
        ambient: [],
      },
      rlimits: (input.ulimits ?? []).map(parseUlimit),
      noNewPrivileges: input.noNewPrivileges === true,
      ...(input.oomScoreAdj === undefined ? {} : { oomScoreAdj: input.oomScoreAdj }),
    },
    root: { path: 'rootfs', readonly: input.readonly === true },
    ...(input.hostname === undefined ? {} : { hostname: input.hostname }),
    mounts: mounts(input, privileged),
    annotations: { ...input.annotations, ...(seccomp === 'default' ? { [SECCOMP_ANNOTATION]: 'default' } : {}) },
    linux,
  };
}

function namespaces(input: DefaultConfigInput): Namespace[] {
  const chosen = (['pid', 'ipc', 'uts', 'network', 'cgroup'] as const).flatMap(
    (type: NamespaceType & keyof NonNullable<DefaultConfigInput['namespaces']>): Namespace[] => {
      const choice = input.namespaces?.[type] ?? 'private';
      if (choice === 'host') return [];
      return [choice === 'private' ? { type } : { type, path: choice.path }];
    },
  );
  return [{ type: 'mount' }, ...chosen];
}

/** Default mounts, without those a bind or tmpfs of the user takes the place of, then the user's. */
function mounts(input: DefaultConfigInput, privileged: boolean): Mount[] {
  const access = privileged ? 'rw' : 'ro';
  const base: Mount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${input.shmSizeBytes ?? SHM_BYTES}`],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', access] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: ['nosuid', 'noexec', 'nodev', 'relatime', access],
    },
  ];
  const tmpfs = Object.entries(input.tmpfs ?? {}).map(([destination, options]): Mount => ({
    destination,
    type: 'tmpfs',
    source: 'tmpfs',
    options: ['nosuid', 'nodev', ...options],
  }));
  const binds = (input.binds ?? []).map((bind): Mount => ({
    destination: bind.destination,
    type: 'bind',
    source: bind.source,
    options: [
      bind.recursive === false ? 'bind' : 'rbind',
      'rprivate',
      bind.readOnly === true ? 'ro' : 'rw',
      ...(bind.options ?? []),
    ],
  }));
  const own = [...tmpfs, ...binds];
  const taken = new Set(own.map(({ destination }) => destination));
  return [...base.filter(({ destination }) => !taken.has(destination)), ...own];
}
