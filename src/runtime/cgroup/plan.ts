/** One limit, written before any process enters. */
export interface CgroupWrite {
  /** Relative to the cgroup root. */
  readonly file: string;
  readonly value: string;
  /** Instead of `value`: what this file (relative to the root) holds at that moment. cgroup v1 cpusets inherit nothing by themselves. */
  readonly copyOf?: string;
  /** Tried when `file` does not exist: kernels name some limits differently. */
  readonly orElse?: { readonly file: string; readonly value: string };
  /** What it is for, in a user's words: "memory limit". */
  readonly purpose: string;
  /** A failure becomes a warning: the kernel may lack the knob and every engine goes on without. */
  readonly optional: boolean;
}

/**
 * Everything to do about one container's cgroup, decided beforehand by `planCgroup` and executed by `createCgroup`,
 * the helper (`tasks`, `unified`) and the monitor (`dirs`, `kill`, `procs`, `freezer`, `oom`).
 *
 * Every path is relative to `root` and has no leading slash.
 */
export interface CgroupPlan {
  /** Where the hierarchies are mounted: /sys/fs/cgroup. */
  readonly root: string;
  /** Shared directories, outermost first: created when missing, never removed. */
  readonly parents: readonly string[];
  /** Shared cgroup v2 directory beside the containers' own, for their monitors: v2 allows no process in the parent itself. Created when missing. */
  readonly monitors?: string;
  /** Preparations of the shared directories (v1 cpuset inheritance, v2 subtree_control); repeating them is harmless. */
  readonly parentWrites: readonly CgroupWrite[];
  /** The container's own directories in creation order; removed after its exit. Empty: the container has no cgroup. */
  readonly dirs: readonly string[];
  /** Limits, in order. */
  readonly writes: readonly CgroupWrite[];
  /** v1 `tasks` files, one per hierarchy. Init enters by writing "0": that costs microseconds where `cgroup.procs` takes a global lock for milliseconds. */
  readonly tasks: readonly string[];
  /** Files of shared directories a monitor enters to leave the login session (the `leave` op): v1 `tasks`, v2 `cgroup.procs` of `monitors`. They exist once `createCgroup` returned. */
  readonly leave: readonly string[];
  /** The cgroup v2 directory init is born in by CLONE_INTO_CGROUP; also in hybrid mode, where the unified tree has no controllers. */
  readonly unified?: string;
  /** Controller name (`memory`, `cpu`, `io` or `blkio`...) to the directory in `dirs` that controls it. */
  readonly controllers: Readonly<Record<string, string>>;
  /** `cgroup.kill` file, or "". */
  readonly kill: string;
  /** A `cgroup.procs` file that lists every process of the container, or "". */
  readonly procs: string;
  /** v1 `freezer.state`, or "" (cgroup v2 has `cgroup.freeze` in `unified`). */
  readonly freezer: string;
  /** Where the kernel counts OOM kills. */
  readonly oom?: { readonly file: string; readonly key: string };
  /** Who enforces the device rules. `none`: nobody can here (see `warnings`), or everything is allowed. */
  readonly devices: 'v1' | 'bpf' | 'none';
  /** With `devices: 'bpf'`: eBPF instructions (struct bpf_insn[], BPF_PROG_TYPE_CGROUP_DEVICE) attached to `unified`. */
  readonly devicesBpf?: Uint8Array;
  /** What could not be done on this host, in words for the user. */
  readonly warnings: readonly string[];
}
