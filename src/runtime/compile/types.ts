import type { Op } from '../../sys/plan/schema.ts';
import type { LinuxSeccomp, RuntimeConfig } from '../../spec/runtime-types.ts';
import type { MountIds, OverlayMount } from '../../spec/mount.ts';
import type { CgroupPlan } from '../cgroup/plan.ts';

/** A descriptor a Plan needs, by what it is; whoever starts the Plan opens it. */
export type FdSource =
  /** The container's root: a detached mount. */
  | { readonly kind: 'rootfs' }
  /** A detached clone of a host path's mount (open_tree OPEN_TREE_CLONE). Never shared: a tree can be attached once. */
  | {
      readonly kind: 'tree';
      readonly source: string;
      readonly recursive: boolean;
      readonly nofollow?: boolean;
      /** It shows other owners, `recursive`: its sub-mounts as well. */
      readonly ids?: MountIds & { readonly recursive: boolean };
    }
  /** A detached overlay of host directories: made outside, because fsconfig(2) limits paths to 255 bytes and init has no host paths. */
  | { readonly kind: 'overlay'; readonly mount: OverlayMount }
  /** A detached mount that the caller has opened, by its place in the caller's list. */
  | { readonly kind: 'opened'; readonly index: number; readonly ids?: MountIds & { readonly recursive: boolean } }
  | { readonly kind: 'namespace'; readonly path: string }
  /** Relative to the cgroup root, opened for writing. */
  | { readonly kind: 'cgroup-file'; readonly path: string; readonly write: true }
  /** Relative to the cgroup root. */
  | { readonly kind: 'cgroup-dir'; readonly path: string }
  | { readonly kind: 'cgroup-root' }
  | { readonly kind: 'state-dir' }
  | { readonly kind: 'life' }
  /** What the monitor is to keep open. */
  | { readonly kind: 'hold'; readonly index: number }
  | { readonly kind: 'run-dir' }
  | { readonly kind: 'log-dir' }
  | { readonly kind: 'events-dir' }
  | { readonly kind: 'stdio'; readonly which: 0 | 1 | 2 }
  /** The container's first process (exec Plans). */
  | { readonly kind: 'pidfd' }
  /** The n-th further descriptor given to the process (it becomes 3 + n). */
  | { readonly kind: 'preserve'; readonly index: number };

/** A Plan before its descriptors are opened: fd fields of `ops` are indices into `fds`. */
export interface CompiledPlan {
  readonly ops: readonly Op[];
  readonly fds: readonly FdSource[];
}

/** How the process's standard streams are made. */
export type StdioMode = 'null' | 'pipes' | 'pty' | 'fds';

/** What compiling needs of a cgroup plan. */
export type ContainerCgroup = Pick<
  CgroupPlan,
  'root' | 'dirs' | 'tasks' | 'leave' | 'unified' | 'kill' | 'procs' | 'freezer' | 'oom'
>;

/** When the monitor starts a container again; `never`: only because its own health check asks for it. */
export interface RestartSettings {
  readonly policy: 'never' | 'on-failure' | 'always';
  /** 0: any number. */
  readonly max: number;
  /** Made already, this start being the last of them. */
  readonly count?: number;
}

/** A health check that the monitor runs. */
export interface HealthSettings {
  readonly argv: readonly string[];
  /** 0: only when asked. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
  /** What is done about an unhealthy container. */
  readonly onFailure: 'none' | 'kill' | 'restart' | 'stop';
}

/** What the monitor is told besides the container's own configuration. */
export interface MonitorSettings {
  /** Process title: the container's name. */
  readonly title: string;
  readonly stdio: StdioMode;
  /** Keep stdin open for clients. */
  readonly stdin: boolean;
  /** Close stdin when the first client that had it leaves. */
  readonly once: boolean;
  readonly log?: { readonly name: string; readonly maxBytes: number; readonly maxFiles: number } | undefined;
  /** Output goes to journald at this socket, with these fields (`NAME=value` lines). */
  readonly journal?: { readonly socket: string; readonly fields: string } | undefined;
  /** Whose events these are: JSON members without braces. */
  readonly events?: string | undefined;
  readonly restart?: RestartSettings | undefined;
  readonly health?: HealthSettings | undefined;
  /** SIGKILL after so long. */
  readonly limitMs?: number | undefined;
  readonly stop: { readonly signal: number; readonly timeoutMs: number };
  readonly onExit?: { readonly argv: readonly string[]; readonly env: readonly string[] } | undefined;
  /** Without `restart`: the command that starts it again when its policy was changed meanwhile. */
  readonly again?: { readonly argv: readonly string[]; readonly env: readonly string[] } | undefined;
  /** Keeps so many descriptors open that the starter gives it. */
  readonly hold?: number;
  /** Run as soon as it is made. */
  readonly autostart: boolean;
  /** The starter's connection is an owner lease. */
  readonly owner: boolean;
  /** No fsync of records. */
  readonly volatile: boolean;
  /** Socket name in the run directory. */
  readonly listen: string;
  /** `tasks` files, relative to the cgroup root, that the monitor enters to leave the login session. */
  readonly leave?: string | readonly string[] | undefined;
}

/** What the kernel or the caller's privileges allow; absent means the ordinary case (privileged, no LSM). */
export interface CompileFeatures {
  /** Device nodes can be made (default true). False in a user namespace: host devices are bound instead. */
  readonly mknod?: boolean;
  readonly selinux?: boolean;
  readonly apparmor?: boolean;
}

/** The default profile is named, not spelled out, so that nothing has to build it when a compiled one is at hand. */
export type SeccompCompiler = (profile: LinuxSeccomp | 'default', capabilities: bigint) => Uint8Array;

export interface CompileOptions {
  /** An existing empty host directory: where the root is attached until pivot_root. */
  readonly rootMountPoint: string;
  readonly cgroup: ContainerCgroup;
  readonly monitor: MonitorSettings;
  readonly features?: CompileFeatures;
  /** Compiles (or finds) the filter for a profile and the bounding set of the process. */
  readonly seccomp: SeccompCompiler;
  /** What a bind source is on the host. Errors pass through. */
  readonly mountKinds: (source: string) => 'directory' | 'file';
  /** Binds whose source the caller has opened itself, by destination: they are not looked for on the host. */
  readonly opened?: readonly { readonly destination: string; readonly kind: 'directory' | 'file' }[];
  /** A small process 1 that reaps and forwards signals. */
  readonly init: boolean;
  /** The container's id in hook state and keyring name; default: the socket's name. */
  readonly id?: string;
  /** Bundle directory: base of relative bind sources, and told to hooks. */
  readonly bundle?: string;
  /** A session keyring of its own (default true). */
  readonly keyring?: boolean;
  /** Descriptors handed on as 3, 4, ... */
  readonly preserveFds?: number;
}

/** What an exec session is told besides its process. */
export interface CompileExecOptions {
  /** Absent: said by the request that carries the Plan. */
  readonly stdio?: StdioMode;
  /** The default filter is made for the session's own capabilities rather than the container's. */
  readonly privileged?: boolean;
  /** Keep stdin open for the client. */
  readonly stdin?: boolean;
  readonly seccomp: SeccompCompiler;
  readonly features?: CompileFeatures;
  /** The container's id, for its keyring; absent: the session has the monitor's. */
  readonly id?: string;
  readonly preserveFds?: number;
}

/** The container an exec session enters. */
export interface ExecTarget {
  readonly config: RuntimeConfig;
  readonly cgroup: Pick<ContainerCgroup, 'tasks' | 'unified'>;
}
