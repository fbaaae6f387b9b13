import type { HealthOptions } from './health-options.ts';
import type { LogDriver, RestartPolicy } from './record.ts';
import type { RegistryAccess } from './registries.ts';

/** How the propagation of mounts between the container and the machine goes on (mount_namespaces(7)). */
export type Propagation = 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';

/** A mount asked for by the user, already parsed. */
export type MountRequest =
  | {
      readonly type: 'bind';
      /** Absolute host path. */
      readonly source: string;
      readonly destination: string;
      readonly readOnly: boolean;
      /** Also bind what is mounted below the source. Default true. */
      readonly recursive?: boolean;
      readonly propagation?: Propagation;
      /** Further OCI mount options: noexec, nosuid, nodev, idmap, ... */
      readonly options?: readonly string[];
      /** Make a missing source directory (`-v` does, `--mount` does not). */
      readonly createSource?: boolean;
      /** Give the source and all that is in it to the container's user. */
      readonly chown?: boolean;
    }
  | {
      readonly type: 'volume';
      /** Made when it is missing. Absent: an anonymous one, which goes with the container. */
      readonly name?: string;
      readonly destination: string;
      readonly readOnly: boolean;
      /** Do not fill a fresh one with what the image has at the destination. */
      readonly noCopy?: boolean;
      /** A directory or file in the volume instead of all of it. */
      readonly subpath?: string;
      readonly propagation?: Propagation;
      /** Further OCI mount options: noexec, suid, dev, idmap, rro, ... Default: nosuid, nodev. */
      readonly options?: readonly string[];
      readonly chown?: boolean;
      /** Of one that is made: as of `CreateVolumeOptions`. */
      readonly labels?: Readonly<Record<string, string>>;
      readonly driverOptions?: Readonly<Record<string, string>>;
    }
  | {
      readonly type: 'image';
      /** Name or id of an image in the store. */
      readonly image: string;
      readonly destination: string;
      /** Changes go into a layer that is thrown away with the container. Default: read-only. */
      readonly writable?: boolean;
      /** A directory or file of the image instead of all of it. */
      readonly subpath?: string;
    }
  | {
      readonly type: 'tmpfs';
      readonly destination: string;
      /** tmpfs and mount options: size=64m, mode=1777, ro, noexec, ... */
      readonly options: readonly string[];
    };

/** A secret that a container is to have. */
export interface SecretRequest {
  /** Its name, id or beginning of its id. */
  readonly source: string;
  /** As a read-only file in memory (default), or as a variable. */
  readonly type?: 'mount' | 'env';
  /** The file, relative to /run/secrets, or the variable; default: the secret's name. */
  readonly target?: string;
  /** Of the file; default 0, 0 and 0444. */
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
}

/** In characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly cols: number;
}

/** Resource limits, in the kernel's units. */
export interface ResourceLimits {
  readonly memoryBytes?: number;
  /** Memory plus swap; -1 unlimited. */
  readonly memorySwapBytes?: number;
  readonly memoryReservationBytes?: number;
  /** Processors, 1.5 = one and a half. */
  readonly cpus?: number;
  readonly cpuShares?: number;
  readonly cpuQuotaUs?: number;
  readonly cpuPeriodUs?: number;
  readonly cpusetCpus?: string;
  readonly cpusetMems?: string;
  /** -1 unlimited. */
  readonly pidsLimit?: number;
  /** 10 to 1000: share of the disks' time. */
  readonly blkioWeight?: number;
}

/** Everything `create` and `run` take. All values are data: names are resolved in the container, never on the host. */
export interface CreateOptions {
  /** `host:`, `host:/path`, `rootfs:/path[:O]`, `bundle:/path` or an image reference. */
  readonly source: string;
  /** Command and arguments; empty: the image's. */
  readonly argv: readonly string[];
  readonly name?: string;
  /** "KEY=value". */
  readonly env?: readonly string[];
  readonly workdir?: string;
  /** USER[:GROUP]. */
  readonly user?: string;
  /** `host` (default), `auto[:size=N,uidmapping=C:H:N,gidmapping=C:H:N]`; of an unprivileged user also `keep-id[:uid=N,gid=N]` and `nomap`. */
  readonly userns?: string;
  /** Ids by hand, CONTAINER:HOST:LENGTH each, instead of `userns`; those of the other kind when there are none of one. */
  readonly uidMap?: readonly string[];
  readonly gidMap?: readonly string[];
  /** Whose sub-ids (/etc/subuid, /etc/subgid) it gets, from container id 0 on. */
  readonly subuidName?: string;
  readonly subgidName?: string;
  /** Replaces the image's entrypoint; an empty list clears it. */
  readonly entrypoint?: readonly string[];
  readonly hostname?: string;
  /** The pod it is in, by name or id. What the containers of a pod share, the pod says. */
  readonly pod?: string;
  /** In a pod: it runs to its end before the others start, at each start of the pod, or once, and is removed then. */
  readonly initContainer?: 'always' | 'once';
  /** `none`, `host`, `pasta[:OPTION,...]` (users without root), `container:NAME`, `ns:PATH`, or networks: `NAME[:ip=,ip6=,mac=,alias=,interface_name=]`. Default: the engine's, `bridge`; `none` in a user namespace of its own. */
  readonly network?: string | readonly string[];
  /** Its place in its one network. */
  readonly ip?: string;
  readonly ip6?: string;
  readonly macAddress?: string;
  readonly networkAliases?: readonly string[];
  /** What it may reach: `none`, or `allow=ITEM,...` with DOMAIN, *.DOMAIN, ADDRESS or ADDRESS/BITS, each with :PORT. Default: everything. */
  readonly egress?: readonly string[];
  /** `[[ADDRESS:][HOSTPORT]:]PORT[/PROTOCOL]`, ranges as well. */
  readonly publish?: readonly string[];
  /** Also what the image exposes, on ports that are free. */
  readonly publishAll?: boolean;
  /** Besides what the image exposes. */
  readonly expose?: readonly string[];
  /** Nameservers, and what else /etc/resolv.conf says; default: the machine's. */
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  /** `NAME:ADDRESS` in /etc/hosts; `host-gateway`: the machine. */
  readonly addHosts?: readonly string[];
  readonly mounts?: readonly MountRequest[];
  readonly secrets?: readonly SecretRequest[];
  /** CONTAINER[:OPTION,...]: the volumes and bind mounts of another one, with `ro` read-only. */
  readonly volumesFrom?: readonly string[];
  readonly readOnly?: boolean;
  readonly capAdd?: readonly string[];
  readonly capDrop?: readonly string[];
  readonly privileged?: boolean;
  /** `seccomp=unconfined|FILE`, `no-new-privileges[:true|false]`, `label=disable`, `apparmor=unconfined`. */
  readonly securityOpt?: readonly string[];
  /** HOST[:CONTAINER[:rwm]]. */
  readonly devices?: readonly string[];
  readonly resources?: ResourceLimits;
  /** `name=soft[:hard]`. */
  readonly ulimits?: readonly string[];
  readonly shmSizeBytes?: number;
  /** `key=value`. */
  readonly sysctls?: readonly string[];
  readonly groupAdd?: readonly string[];
  readonly init?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  readonly stopSignal?: string;
  readonly stopTimeoutSeconds?: number;
  readonly log?: {
    readonly driver?: LogDriver;
    readonly maxSizeBytes?: number;
    readonly maxFiles?: number;
    /** journald: CONTAINER_TAG of every message; default the short id. */
    readonly tag?: string;
  };
  /** When it starts again after its end; not with `autoRemove`. */
  readonly restart?: RestartPolicy;
  readonly health?: HealthOptions;
  /** SIGKILL so long after each start. */
  readonly timeoutSeconds?: number;
  readonly terminal?: boolean;
  /** What the terminal measures when the process starts. */
  readonly terminalSize?: TerminalSize;
  /** Keep standard input open. */
  readonly openStdin?: boolean;
  readonly autoRemove?: boolean;
  /** Show the machine's credentials to a `host:` container. */
  readonly hostSecrets?: boolean;
  readonly pull?: 'missing' | 'always' | 'never' | 'newer';
  /** os/arch[/variant]. */
  readonly platform?: string;
  /** How the registry of a pull is reached. */
  readonly registry?: Partial<RegistryAccess>;
  /** Where relative source paths start. */
  readonly cwd?: string;
  /** Names of annotations for the OCI config. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What `exec` takes. */
export interface ExecOptions {
  readonly argv: readonly string[];
  readonly env?: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
  readonly terminal?: boolean;
  readonly terminalSize?: TerminalSize;
  readonly openStdin?: boolean;
  readonly privileged?: boolean;
  readonly detach?: boolean;
}
