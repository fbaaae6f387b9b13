/**
 * The vocabulary of a Plan: every operation the C helper knows, with the layout of its payload.
 *
 * This table is the only definition. The encoder, the printer (`tare runtime plan`) and the C header
 * `build/gen/plan-ops.h` (written by tools/build.ts) are all derived from it, so the two sides cannot drift.
 * See docs/reference/plan.md for the meaning of each operation and the order in which the helper runs them.
 */

/** Field types: little-endian numbers, length-prefixed byte strings, lists of strings, and slots of the Plan's fd table. */
export type FieldType = 'u32' | 'i32' | 'u64' | 'str' | 'blob' | 'strv' | 'fd';

type Fields = Readonly<Record<string, FieldType>>;

/** "TARE" in ASCII, read as a little-endian u32. */
export const PLAN_MAGIC = 0x45524154;
/** Bumped on every incompatible change; a helper refuses any other version. */
export const PLAN_VERSION = 1;
/** The fd slot that means "none". */
export const NO_FD = 0xffffffff;
/** No Plan may be larger (bytes); argv and environment included. */
export const PLAN_MAX_BYTES = 16 * 1024 * 1024;
/** No Plan may carry more descriptors. */
export const PLAN_MAX_FDS = 200;

const op = <const C extends number, const F extends Fields>(code: C, fields: F) => ({ code, fields });

/** Settings the monitor reads before it does anything; order does not matter. Codes 1-49. */
export const monitorOps = {
  /** Container directory (state files live here), its life lock, and whether records are volatile (1: no fsync). */
  state: op(1, { dir: 'fd', life: 'fd', volatile: 'u32' }),
  /** Listen on socket `name` inside directory fd `dir` (bound through /proc/self/fd). */
  listen: op(2, { dir: 'fd', name: 'str' }),
  /** Standard streams: mode 0 null, 1 pipes, 2 pty, 3 the given fds. `stdin` 1 keeps stdin open for clients; `once` closes it when the first stdin client leaves. */
  stdio: op(3, { mode: 'u32', stdin: 'u32', once: 'u32', in: 'fd', out: 'fd', err: 'fd' }),
  /** CRI-format log `name` in directory fd; rotate at maxBytes (0: never), keep maxFiles in all (>= 1). */
  log: op(4, { dir: 'fd', name: 'str', maxBytes: 'u64', maxFiles: 'u32' }),
  /** What stop means for this container. */
  stop: op(5, { signal: 'u32', timeoutMs: 'u32' }),
  /** Cgroup directories relative to fd `root`: `dirs` are removed after exit (deepest first), `kill` is the cgroup.kill file or "". `procs` is a cgroup.procs file used to kill one by one where there is no cgroup.kill, `freezer` a v1 freezer.state file or "". */
  cgroup: op(6, { root: 'fd', dirs: 'strv', kill: 'str', procs: 'str', freezer: 'str' }),
  /** OOM counter: a "key value" file (memory.events, memory.oom_control) below the cgroup root fd, and the key. */
  oom: op(7, { root: 'fd', file: 'str', key: 'str' }),
  /** Command run (as a child of the monitor) after exit when no client took over the clean-up. */
  onExit: op(8, { argv: 'strv', env: 'strv' }),
  /** A runtime-namespace hook. stage: 1 prestart/createRuntime, 2 poststart, 3 poststop. The state JSON goes to stdin with `"pid":0` textually replaced. */
  hook: op(9, { stage: 'u32', path: 'str', argv: 'strv', env: 'strv', timeoutMs: 'u32', state: 'str' }),
  /** 1: start as soon as init is ready (`run`); 0: wait for a start request (`create`). */
  autostart: op(10, { now: 'u32' }),
  /** 1: the control connection is an owner lease; its end means stop (SIGKILL) and remove. */
  owner: op(11, { lease: 'u32' }),
  /** cgroup "tasks"/"cgroup.threads" files the monitor enters first (it leaves the login session). Errors are ignored. */
  leave: op(12, { tasks: 'fd' }),
  /** A descriptor the monitor keeps and hands out on a MOUNT request: the container's rootfs mount. */
  rootfs: op(13, { fd: 'fd' }),
  /** Free text shown as the process title ("tare: monitor NAME"). */
  title: op(14, { text: 'str' }),
  /** Extra descriptors passed to the process as 3, 4, ... (--preserve-fds). One op per fd, in order. */
  preserve: op(15, { fd: 'fd' }),
  /** Events are appended to the spool in directory fd `dir`; `who` are the JSON members, without braces, that say whose they are. */
  events: op(16, { dir: 'fd', who: 'str' }),
  /** Start the process again when it has ended. policy: RESTART_*; `max` restarts (0: any number), `count` made already, this start being the last of them. The mounts are kept, and cloned for each start. */
  restart: op(17, { policy: 'u32', max: 'u32', count: 'u32' }),
  /** SIGKILL this long after each start. */
  limit: op(18, { ms: 'u32' }),
  /** Output goes to journald: the path of its socket, and fields (`NAME=value` lines) of every message. */
  journal: op(19, { socket: 'str', fields: 'str' }),
  /** Runs the exec Plan `plan` every intervalMs (0: only when asked; startIntervalMs within startPeriodMs of a start), kills it after timeoutMs; `retries` failures in a row make the container unhealthy: then HEALTH_*. */
  health: op(20, {
    intervalMs: 'u32',
    timeoutMs: 'u32',
    startPeriodMs: 'u32',
    startIntervalMs: 'u32',
    retries: 'u32',
    action: 'u32',
    plan: 'blob',
  }),
  /** The descriptors of the health check's Plan in order, one op each; none: the pidfd of the container's first process. */
  healthFd: op(21, { fd: 'fd' }),
  /** Without `restart`: the command that starts the process again (by HAND_OVER) when the state file `policy` says so at its end. */
  again: op(22, { argv: 'strv', env: 'strv' }),
  /** Stays open as long as the monitor lives, and is not used. */
  hold: op(23, { fd: 'fd' }),
} as const;

/** How init is cloned; executed by the monitor. Codes 50-69. */
export const cloneOps = {
  /** clone3: namespaces to create in the clone itself (CLONE_NEW*), and the cgroup v2 directory to be born in. */
  clone: op(50, { flags: 'u64', cgroup: 'fd' }),
  /** Join a namespace by fd before the clone (in an intermediate process). nstype is the CLONE_NEW* bit. */
  join: op(51, { fd: 'fd', nstype: 'u32' }),
  /** Contents of uid_map, gid_map for a new user namespace; setgroups 0 writes "deny" first. */
  idmap: op(52, { uid: 'str', gid: 'str', setgroups: 'u32' }),
  /** Contents of timens_offsets for a new time namespace. */
  timens: op(53, { offsets: 'str' }),
  /** Exec Plans: join every namespace in `flags` of the process behind pidfd, then clone (CLONE_PARENT) with cgroup. */
  enter: op(54, { pidfd: 'fd', flags: 'u64', cgroup: 'fd' }),
  /** Written to the process's oom_score_adj by the monitor after clone; failure ignored when optional is 1. */
  oomScoreAdj: op(55, { value: 'i32', optional: 'u32' }),
  /** Whom the pipes of standard streams that the monitor makes belong to, in ids of the monitor's: a process in a user namespace could not take them. */
  stdioOwner: op(56, { uid: 'u32', gid: 'u32' }),
} as const;

/** Steps of init (and of an exec'ed process), executed strictly in order. Codes 100+. */
export const initOps = {
  /** Write "0" to an open cgroup v1 "tasks" file: the caller alone moves, without the global lock cgroup.procs takes. */
  cgroupTask: op(100, { fd: 'fd' }),
  unshare: op(101, { flags: 'u64' }),
  setsid: op(102, {}),
  /** Die with the monitor. */
  pdeathsig: op(103, { signal: 'u32' }),
  /** Set propagation of "/" (MS_* bits incl. MS_REC), then attach the detached rootfs mount `fd` on host directory `at`. */
  root: op(104, { fd: 'fd', at: 'str', propagation: 'u64' }),
  /** New file system mount: fsopen(type), options ("key=value" or "flag"), fsmount(attrs), move_mount to `target`. `mkdir` is the mode for missing directories. flags: MOUNT_OPTIONAL, MOUNT_COPYUP, MOUNT_PROC_CHECK. propagation 0: leave. */
  mountFs: op(105, {
    type: 'str',
    source: 'str',
    options: 'strv',
    attrs: 'u64',
    target: 'str',
    mkdir: 'u32',
    flags: 'u32',
    propagation: 'u64',
  }),
  /** Attach detached tree `fd` at `target`; set/clear are MOUNT_ATTR_*, recursive 1 applies them to the tree. kind 1 directory, 2 file: what to create when missing. */
  mountFd: op(106, {
    fd: 'fd',
    target: 'str',
    set: 'u64',
    clear: 'u64',
    recursive: 'u32',
    propagation: 'u64',
    kind: 'u32',
    flags: 'u32',
  }),
  /** Bind `target` on itself with attributes (readonlyPaths). Missing targets are skipped. */
  readonlyPath: op(107, { target: 'str' }),
  /** Cover `target`: directories by the shared empty read-only directory, other files by its empty file or the real null device. Missing targets are skipped. */
  mask: op(108, { target: 'str' }),
  /** Device node beneath the root; replaces nothing: EEXIST is an error unless the same node is there. mode includes S_IF*. */
  mknod: op(109, { target: 'str', mode: 'u32', major: 'u32', minor: 'u32', uid: 'u32', gid: 'u32' }),
  symlink: op(110, { target: 'str', to: 'str' }),
  /** mkdir -p beneath the root; owner and mode are applied to directories this call creates. */
  mkdir: op(111, { target: 'str', mode: 'u32', uid: 'u32', gid: 'u32' }),
  /** pivot_root(".", ".") into the root, detach the old one. After this step targets resolve in the new root. */
  pivot: op(112, {}),
  /** mount_setattr on "/": read-only root, rootfsPropagation. */
  rootAttr: op(113, { set: 'u64', clear: 'u64', recursive: 'u32', propagation: 'u64' }),
  hostname: op(114, { name: 'str' }),
  domainname: op(115, { name: 'str' }),
  /** Bring "lo" up. */
  loopback: op(116, {}),
  /** Write a sysctl (path below /proc/sys, slashes) through a private procfs handle. */
  sysctl: op(117, { path: 'str', value: 'str' }),
  rlimit: op(118, { resource: 'u32', soft: 'u64', hard: 'u64' }),
  /** Tell the monitor and wait for its answer. kind: BARRIER_*. */
  barrier: op(119, { kind: 'u32' }),
  /** Run a hook here, in the container's namespaces (createContainer, startContainer). */
  hookHere: op(120, { path: 'str', argv: 'strv', env: 'strv', timeoutMs: 'u32', state: 'str' }),
  keyring: op(121, { name: 'str' }),
  personality: op(122, { persona: 'u64' }),
  scheduler: op(123, {
    policy: 'u32',
    flags: 'u64',
    nice: 'i32',
    priority: 'u32',
    runtime: 'u64',
    deadline: 'u64',
    period: 'u64',
  }),
  ioprio: op(124, { value: 'u32' }),
  /** Allocate a pty from the container's own devpts, hand the master to the monitor, make it the controlling terminal and stdio; console 1 also binds it on /dev/console. Sizes 0: unset. uid owns it. */
  tty: op(125, { rows: 'u32', cols: 'u32', console: 'u32', uid: 'u32' }),
  noNewPrivs: op(126, {}),
  /** Drop every capability outside `mask` from the bounding set. */
  capsBounding: op(127, { mask: 'u64' }),
  /** setgroups, setresgid, setresuid (keeping permitted capabilities across it) and umask (0xffffffff: leave). `groups` is a packed u32 array. */
  user: op(128, { uid: 'u32', gid: 'u32', groups: 'blob', umask: 'u32' }),
  caps: op(129, { effective: 'u64', permitted: 'u64', inheritable: 'u64', ambient: 'u64' }),
  /** chdir, then prove by getcwd that the result lies inside the root. */
  cwd: op(130, { path: 'str' }),
  /** Install a classic BPF filter (struct sock_filter[]); flags are SECCOMP_FILTER_FLAG_*. */
  seccomp: op(131, { flags: 'u32', filter: 'blob' }),
  /** Try each candidate path in turn with execve. init 1: stay as a reaping, signal-forwarding process 1 and run it as a child. */
  exec: op(132, { candidates: 'strv', argv: 'strv', env: 'strv', init: 'u32' }),
  /** Write `text` to this process's own /proc attribute file (attr/exec, attr/keycreate) through the private procfs. */
  procAttr: op(133, { name: 'str', text: 'str' }),
  memoryPolicy: op(134, { mode: 'u32', flags: 'u32', nodes: 'blob' }),
  /** Instead of `exec`: stays, reaps what is left to it, and ends by SIGTERM, SIGINT or SIGQUIT. */
  pause: op(135, {}),
} as const;

/** All operations by name. */
export const planOps = { ...monitorOps, ...cloneOps, ...initOps } as const;

/** Named numbers shared with the helper (also written to the generated C header). */
export const planConstants = {
  /** `barrier`: run createRuntime hooks in the runtime's namespaces. */
  BARRIER_RUNTIME_HOOKS: 1,
  /** `barrier`: everything is made; wait for start. */
  BARRIER_START: 2,
  /** `mountFs.flags`: a failing mount is skipped. */
  MOUNT_OPTIONAL: 1,
  /** `mountFs.flags`: copy what was at the target into the new tmpfs (tmpcopyup). */
  MOUNT_COPYUP: 2,
  /** `mountFs.flags` and `mountFd.flags`: the target must be a real directory of the root, reached through no symlink. */
  MOUNT_NOFOLLOW: 4,
  STDIO_NULL: 0,
  STDIO_PIPES: 1,
  STDIO_PTY: 2,
  STDIO_FDS: 3,
  /** `restart.policy`: only when the monitor's own health check asks for it. */
  RESTART_NEVER: 0,
  RESTART_ON_FAILURE: 1,
  RESTART_ALWAYS: 2,
  HEALTH_NOTHING: 0,
  HEALTH_KILL: 1,
  HEALTH_RESTART: 2,
  HEALTH_STOP: 3,
  KIND_DIRECTORY: 1,
  KIND_FILE: 2,
} as const;

type FieldValue<T extends FieldType> = T extends 'u32' | 'i32' | 'fd'
  ? number
  : T extends 'u64'
    ? bigint | number
    : T extends 'str'
      ? string
      : T extends 'blob'
        ? Uint8Array
        : readonly string[];

export type OpName = keyof typeof planOps;

/** One operation: `{ op: 'hostname', name: 'web' }`. Descriptors are numbers of the *table*, see `PlanBuilder.fd`. */
export type Op = {
  [N in OpName]: { readonly op: N } & {
    readonly [F in keyof (typeof planOps)[N]['fields']]: FieldValue<(typeof planOps)[N]['fields'][F] & FieldType>;
  };
}[OpName];
