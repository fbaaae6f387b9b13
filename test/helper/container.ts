/** Drives the real helper the way the runtime does: a busybox root, a Plan, a monitor. Shared by the helper's tests. */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encodePlan,
  Fd,
  type FdLike,
  isLocked,
  memfdSealed,
  MonitorClient,
  MS_PRIVATE,
  NO_FD,
  numberOf,
  type Op,
  openTree,
  pidfdOpen,
  planConstants,
  sealedProgram,
  socketpair,
  sendFds,
  spawnHelper,
  tryLock,
  processStat,
} from '../../src/sys/mod.ts';
import { encodeClientFrame } from '../../src/sys/monitor/frames.ts';

export const { STDIO_NULL, STDIO_PIPES, STDIO_PTY, STDIO_FDS } = planConstants;
export const CLONE_NEWNS = 0x20000;
export const CLONE_NEWUTS = 0x4000000;
export const CLONE_NEWIPC = 0x8000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;
export const MS_REC = 16384;
export const RDONLY = 1;
export const NOSUID = 2;
export const NODEV = 4;
export const NOEXEC = 8;

/** Why these tests cannot run here, or undefined. */
export function cannotRun(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync('/bin/busybox')) return 'needs busybox-static';
  if (!existsSync(join(import.meta.dirname, '../../build/tare-helper'))) return 'needs build/tare-helper';
  return undefined;
}

/** The helper under test: TARE_TEST_HELPER names another build (the sanitizer one). */
let program: Fd | undefined;
function helper(): { program: Fd } | object {
  const path = process.env['TARE_TEST_HELPER'];
  if (path === undefined) return {};
  return { program: (program ??= sealedProgram(path)) };
}

/** A temp directory with a busybox root file system, removed on dispose together with what its containers left. */
export class Bench implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'tare-helper-'));
  readonly rootfs = join(this.dir, 'rootfs');
  readonly at = join(this.dir, 'at');
  readonly containers: Container[] = [];

  constructor() {
    for (const name of ['bin', 'dev', 'proc', 'sys', 'etc', 'tmp', 'masked', 'run'])
      mkdirSync(join(this.rootfs, name), { recursive: true });
    mkdirSync(this.at);
    copyFileSync('/bin/busybox', join(this.rootfs, 'bin/busybox'));
    for (const name of [
      'sh',
      'cat',
      'true',
      'false',
      'sleep',
      'echo',
      'id',
      'ls',
      'stty',
      'tty',
      'head',
      'seq',
      'mount',
      'grep',
      'readlink',
      'stat',
      'dd',
      'kill',
      'yes',
      'wc',
      'setsid',
      'mkdir',
      'umask',
      'hostname',
    ]) {
      symlinkSync('busybox', join(this.rootfs, 'bin', name));
    }
    writeFileSync(join(this.rootfs, 'etc/secret'), 'secret\n');
    writeFileSync(join(this.rootfs, 'masked/file'), 'hidden\n');
  }

  container(options: ContainerOptions): Container {
    const container = new Container(this, options);
    this.containers.push(container);
    return container;
  }

  [Symbol.dispose](): void {
    for (const container of this.containers) container[Symbol.dispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export interface ContainerOptions {
  readonly argv: readonly string[];
  readonly env?: readonly string[];
  readonly stdio?: number;
  readonly stdioFds?: readonly [number, number, number];
  readonly stdin?: boolean;
  readonly once?: boolean;
  readonly autostart?: boolean;
  /** The phase it is found in; default creating. */
  readonly before?: string;
  readonly lease?: boolean;
  readonly candidates?: readonly string[];
  readonly cloneFlags?: number;
  readonly logMaxBytes?: number;
  readonly logMaxFiles?: number;
  readonly log?: boolean;
  readonly init?: boolean;
  readonly tty?: boolean;
  readonly stop?: { signal: number; timeoutMs: number };
  readonly cgroup?: string;
  readonly preserve?: readonly number[];
  readonly onExit?: readonly string[];
  readonly volatile?: boolean;
  /** Further monitor and clone ops. */
  readonly settings?: (fd: (fd: FdLike) => number) => Op[];
  /** Steps before and after pivot; and those between `user` and `exec`. */
  readonly beforePivot?: (fd: (fd: FdLike) => number) => Op[];
  readonly afterPivot?: readonly Op[];
  readonly last?: readonly Op[];
  readonly rootfs?: string;
  /** Replaces the encoded Plan's bytes before it is handed over. */
  readonly spoil?: (plan: Buffer) => Buffer;
  readonly frames?: (client: MonitorClient) => void;
}

/** One container and the starter's connection. */
export class Container implements Disposable {
  readonly dir: string;
  readonly client: MonitorClient;
  readonly pid: number;
  readonly monitorPidfd: Fd;
  readonly cgroup: string | undefined;
  stdout = '';
  stderr = '';

  constructor(bench: Bench, o: ContainerOptions) {
    this.dir = mkdtempSync(join(bench.dir, 'c-'));
    const stack = new DisposableStack();
    const table: FdLike[] = [];
    const fd = (entry: FdLike): number => table.push(entry) - 1;
    const open = (path: string, flags: string | number = 'r'): Fd => stack.use(Fd.adopt(openSync(path, flags)));
    try {
      const dir = open(this.dir);
      const life = open(join(this.dir, 'life'), 'wx+');
      if (!tryLock(life, 'write')) throw new Error('life is locked');
      writeFileSync(join(this.dir, `phase.${o.before ?? 'creating'}`), '');
      const stdio = o.stdio ?? STDIO_PIPES;
      const given = o.stdioFds?.map((n) => fd(n)) ?? [NO_FD, NO_FD, NO_FD];
      const dirSlot = fd(dir);
      const root = stack.use(openTree(o.rootfs ?? bench.rootfs, { clone: true, recursive: true }));
      const rootSlot = fd(root);
      let cgroupSlot = NO_FD;
      const ops: Op[] = [
        { op: 'state', dir: dirSlot, life: fd(life), volatile: o.volatile === false ? 0 : 1 },
        { op: 'listen', dir: dirSlot, name: 's' },
        {
          op: 'stdio',
          mode: stdio,
          stdin: o.stdin === true ? 1 : 0,
          once: o.once === true ? 1 : 0,
          in: given[0] ?? NO_FD,
          out: given[1] ?? NO_FD,
          err: given[2] ?? NO_FD,
        },
        { op: 'stop', signal: o.stop?.signal ?? 15, timeoutMs: o.stop?.timeoutMs ?? 10000 },
        { op: 'autostart', now: o.autostart === false ? 0 : 1 },
        { op: 'owner', lease: o.lease === true ? 1 : 0 },
        { op: 'rootfs', fd: rootSlot },
        { op: 'title', text: 'tare: monitor test' },
      ];
      if (o.log !== false)
        ops.push({ op: 'log', dir: dirSlot, name: 'log', maxBytes: o.logMaxBytes ?? 0, maxFiles: o.logMaxFiles ?? 1 });
      if (o.cgroup !== undefined) {
        this.cgroup = join('/sys/fs/cgroup/unified', o.cgroup);
        mkdirSync(this.cgroup);
        cgroupSlot = fd(open(this.cgroup));
        const name = o.cgroup;
        ops.push({
          op: 'cgroup',
          root: fd(open('/sys/fs/cgroup/unified')),
          dirs: [name],
          kill: `${name}/cgroup.kill`,
          procs: `${name}/cgroup.procs`,
          freezer: '',
        });
      }
      if (o.onExit !== undefined) ops.push({ op: 'onExit', argv: o.onExit, env: [] });
      for (const extra of o.preserve ?? []) ops.push({ op: 'preserve', fd: fd(extra) });
      if (o.settings !== undefined) ops.push(...o.settings(fd));
      ops.push({
        op: 'clone',
        flags: o.cloneFlags ?? CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
        cgroup: cgroupSlot,
      });
      ops.push({ op: 'setsid' }, { op: 'pdeathsig', signal: 9 });
      ops.push({ op: 'root', fd: rootSlot, at: bench.at, propagation: MS_PRIVATE | MS_REC });
      ops.push(
        {
          op: 'mountFs',
          type: 'proc',
          source: 'proc',
          options: [],
          attrs: NOSUID | NODEV | NOEXEC,
          target: '/proc',
          mkdir: 0o555,
          flags: 0,
          propagation: 0,
        },
        {
          op: 'mountFs',
          type: 'tmpfs',
          source: 'tmpfs',
          options: ['mode=755', 'size=65536k'],
          attrs: NOSUID,
          target: '/dev',
          mkdir: 0o755,
          flags: 0,
          propagation: 0,
        },
        {
          op: 'mountFs',
          type: 'devpts',
          source: 'devpts',
          options: ['newinstance', 'ptmxmode=0666', 'mode=0620'],
          attrs: NOSUID | NOEXEC,
          target: '/dev/pts',
          mkdir: 0o755,
          flags: 0,
          propagation: 0,
        },
        { op: 'mknod', target: '/dev/null', mode: 0o20666, major: 1, minor: 3, uid: 0, gid: 0 },
        { op: 'mknod', target: '/dev/zero', mode: 0o20666, major: 1, minor: 5, uid: 0, gid: 0 },
        { op: 'mknod', target: '/dev/tty', mode: 0o20666, major: 5, minor: 0, uid: 0, gid: 0 },
        { op: 'symlink', target: '/dev/fd', to: '/proc/self/fd' },
        { op: 'symlink', target: '/dev/stdout', to: '/proc/self/fd/1' },
      );
      if (o.beforePivot !== undefined) ops.push(...o.beforePivot(fd));
      ops.push({ op: 'pivot' });
      ops.push(...(o.afterPivot ?? []));
      if (o.tty === true || stdio === STDIO_PTY) ops.push({ op: 'tty', rows: 24, cols: 80, console: 1, uid: 0 });
      ops.push({ op: 'cwd', path: '/' }, { op: 'barrier', kind: planConstants.BARRIER_START });
      ops.push(...(o.last ?? []));
      ops.push({
        op: 'exec',
        candidates: o.candidates ?? [o.argv[0] ?? ''],
        argv: o.argv,
        env: o.env ?? ['PATH=/bin'],
        init: o.init === true ? 1 : 0,
      });
      const bytes = encodePlan(ops, table.length);
      const plan = stack.use(memfdSealed('plan', o.spoil?.(bytes) ?? bytes));
      const [ours, theirs] = socketpair();
      stack.use(theirs);
      this.client = MonitorClient.over(ours, { socketPath: join(this.dir, 's') });
      this.client.onStdout = (chunk) => (this.stdout += Buffer.from(chunk).toString());
      this.client.onStderr = (chunk) => (this.stderr += Buffer.from(chunk).toString());
      sendFds(ours, encodeClientFrame({ type: 'plan' }), [plan, ...table.map((entry) => numberOf(entry))]);
      if (o.frames !== undefined) o.frames(this.client);
      else this.client.attach({ stdin: o.stdin === true, stdout: true, stderr: true });
      this.pid = spawnHelper('monitor', [theirs], helper());
      this.monitorPidfd = pidfdOpen(this.pid);
    } finally {
      stack.dispose();
    }
  }

  /** Names in the container directory that start with `phase.`. */
  phases(): string[] {
    return readdirSync(this.dir).filter((name) => name.startsWith('phase.'));
  }

  read(name: string): string {
    return readFileSync(join(this.dir, name), 'utf8');
  }

  has(name: string): boolean {
    return existsSync(join(this.dir, name));
  }

  isLifeFree(): boolean {
    const fd = Fd.adopt(openSync(join(this.dir, 'life'), 'r+'));
    try {
      return !isLocked(fd);
    } finally {
      fd.close();
    }
  }

  /** Resolves when the monitor has left. Fails after `ms`. */
  async left(ms = 5000): Promise<void> {
    await until(() => !isAlive(this.pid), ms, 'the monitor has left');
  }

  connect(): Promise<MonitorClient> {
    return MonitorClient.connect(join(this.dir, 's'));
  }

  [Symbol.dispose](): void {
    try {
      process.kill(this.pid, 'SIGKILL');
    } catch {
      // gone
    }
    this.client.close();
    this.monitorPidfd.close();
    if (this.cgroup !== undefined && existsSync(this.cgroup)) {
      writeFileSync(join(this.cgroup, 'cgroup.kill'), '1');
      for (let i = 0; i < 100 && existsSync(this.cgroup); i++) {
        try {
          rmCgroup(this.cgroup);
        } catch {
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
        }
      }
    }
  }
}

function rmCgroup(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) rmCgroup(join(path, entry.name));
  rmdirSync(path);
}

/** Runs and is not a zombie. */
export function isAlive(pid: number): boolean {
  const state = processStat(pid)?.state;
  return state !== undefined && state !== 'Z';
}

/** Polls `condition`; test code may, the helper may not. */
export async function until(condition: () => boolean, ms: number, what: string): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Timed out waiting until ${what}`);
    await sleep(2);
  }
}

/** Closes a raw descriptor, which may be closed already. */
export function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // already
  }
}
