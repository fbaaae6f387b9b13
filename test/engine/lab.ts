/** What tests of running containers share: private roots with a busybox file system, and a look at everything that could be left behind. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createEngine,
  LaunchError,
  listContainers,
  removeContainer,
  rootlessUser,
  runContainer,
  type CreateOptions,
  type Engine,
  type EngineOptions,
  type Running,
} from '../../src/engine/mod.ts';
import { TareError, type ErrorKind } from '../../src/base/errors.ts';
import { cgroupChoice, usableCgroups } from '../../src/engine/cgroups.ts';
import type { ExitRecord } from '../../src/runtime/state.ts';
import { unmountBelow } from '../support/mounts.ts';
import { needs, type Need } from '../support/needs.ts';

/** How much longer everything takes than on a usual machine: 10 or more where the processor is emulated. Whoever waits for something, waits so much longer. */
export const slowness = Number(process.env['TARE_TEST_SLOWNESS'] ?? 1);

// A test that is run by itself leaves the machine's links alone, as in a lane.
process.env['TARE_DEFAULT_NETWORK'] ??= 'none';

/** The launcher of this checkout. */
export const launcher = join(import.meta.dirname, '../../bin/tare');

/** A program of this folder, as a path: in the virtual machine there are no types (tools/vm/checkout.ts). */
export const program = (name: string): string => join(import.meta.dirname, `${name}${extname(import.meta.filename)}`);

/** The user in whose namespace the tests run (`tare unshare tools/node --test ...`), where they are root. */
export const rootless = process.getuid?.() === 0 ? rootlessUser(process.env, 0) : undefined;

/** Running containers needs root, a built checkout and busybox. */
export const canRun: Need =
  needs.root() ||
  needs.program('busybox') ||
  (existsSync(launcher) && existsSync(join(import.meta.dirname, '../../build/tare-helper'))
    ? false
    : 'needs a built checkout: run npm run build');

/** What cgroupfs has for a user's containers. */
const delegated = (): string =>
  rootless === undefined ? '' : cgroupChoice({ cgroupManager: 'cgroupfs', rootless }).parent;

/** Containers have a cgroup with this controller here: an unprivileged user's when one was delegated. Without a cgroup there is no pause and no limit. */
export function hasController(name?: string): Need {
  if (rootless === undefined) return false;
  const { hierarchies } = usableCgroups({ rootless }, delegated());
  const has = hierarchies.some(({ controllers }) => name === undefined || controllers.includes(name));
  return !has && `cannot here: no cgroup ${name === undefined ? '' : `with ${name} `}is delegated to this user`;
}
export const hasCgroups: Need = hasController();

const APPLETS =
  'sh cat true false sleep echo id ls head mount umount grep readlink stat dd kill mkdir rmdir mknod rm touch chmod mv ln umask hostname env pwd sort ip nproc tail find setsid ps test seq wc tr cut yes chroot'.split(
    ' ',
  );

/** How a command line, or a container's first process, went. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A private engine. Disposing kills and removes whatever is in it. */
export class Lab implements AsyncDisposable {
  readonly dir: string;
  readonly cgroupParent: string;
  readonly options: EngineOptions;
  readonly engine: Engine;
  /** Directory with busybox and the usual places of a root file system. */
  readonly rootfs: string;

  /** `root` puts the engine's root somewhere else than into the lab's own directory. With `systemd` the containers' scopes are in a slice of the lab's. */
  constructor(root?: string, how: { readonly systemd?: boolean } = {}) {
    this.dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare-lab-')));
    const suffix = basename(this.dir).slice(9);
    const slice = `taretest${suffix}.slice`;
    this.cgroupParent = how.systemd === true ? `/${slice}` : `${delegated()}/tare-test-${suffix}`;
    const cgroups =
      how.systemd === true
        ? ({ cgroupManager: 'systemd', cgroupParent: slice } as const)
        : { cgroupParent: this.cgroupParent };
    const roots = {
      root: root ?? join(this.dir, 'root'),
      runRoot: join(this.dir, 'run'),
      storageRoot: join(this.dir, 'storage'),
      storageRunRoot: join(this.dir, 'storage-run'),
    };
    this.options = {
      ...roots,
      ...(rootless === undefined ? {} : { rootless, env: process.env }),
      ...cgroups,
      defaultNetwork: 'none',
      self: [launcher, ...flags({ ...roots, ...cgroups })],
    };
    this.engine = createEngine(this.options);
    this.rootfs = join(this.dir, 'rootfs');
    makeRootfs(this.rootfs);
  }

  /** A fresh view of the same roots, as another process has it. */
  anotherEngine(): Engine {
    return createEngine(this.options);
  }

  /** The lab's rootfs under a throw-away writable layer. */
  get source(): string {
    return `rootfs:${this.rootfs}:O`;
  }

  /** Starts a container attached. */
  start(argv: readonly string[], options: Partial<CreateOptions> = {}): Promise<Running> {
    return runContainer(this.engine, { source: this.source, autoRemove: true, ...options, argv }, { detach: false });
  }

  /** Starts a container that stays when we leave. */
  detached(argv: readonly string[], options: Partial<CreateOptions> = {}): Promise<Running> {
    return runContainer(this.engine, { source: this.source, ...options, argv }, { detach: true });
  }

  /** Runs a container to its end. */
  async run(
    argv: readonly string[],
    options: Partial<CreateOptions> = {},
  ): Promise<Outcome & { readonly exit: ExitRecord; readonly warnings: readonly string[] }> {
    const running = await this.start(argv, options);
    const output = ['', ''];
    running.onOutput((stream, bytes) => {
      output[stream - 1] += Buffer.from(bytes).toString();
    });
    const exit = await running.exit;
    await running.finish();
    return { code: exit.code, stdout: output[0] ?? '', stderr: output[1] ?? '', exit, warnings: running.warnings };
  }

  /** Runs a shell script in a container and returns what it printed, without the last newline; its stderr counts too. */
  async sh(script: string, options: Partial<CreateOptions> = {}): Promise<string> {
    const { stdout, stderr } = await this.run(['sh', '-c', script], options);
    return `${stdout}${stderr}`.trimEnd();
  }

  /** Runs `tare ARGS` to its end; killed after half a minute. */
  async tare(...args: string[]): Promise<Outcome> {
    return outcome(this.startTare(args));
  }

  /** Starts `tare ARGS`. `prefix` is a command that runs it, such as unshare. */
  startTare(args: readonly string[], prefix: readonly string[] = []): ChildProcess {
    const [program = '', ...rest] = [...prefix, ...this.options.self, ...args];
    return spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 30_000 * slowness,
      killSignal: 'SIGKILL',
    });
  }

  /** Directory of a container. */
  at(id: string, ...names: string[]): string {
    return join(this.engine.containersDir, id, ...names);
  }

  /** Pid of a container's monitor: the process that has its directory's life file open. */
  monitorOf(id: string): number {
    const life = realpathSync(this.at(id, 'life'));
    // The client that started it may hold the lock's file a moment longer.
    const pids = processes().filter(
      (pid) => read(`/proc/${pid}/cmdline`).startsWith('tare: monitor ') && links(`/proc/${pid}/fd`).includes(life),
    );
    if (pids.length !== 1 || pids[0] === undefined) throw new Error(`monitors of ${id}: ${pids.join(' ')}`);
    return pids[0];
  }

  /** Everything that is there although every container was removed. Waits for what is on its way out. */
  async leftovers(waitMs = 5000): Promise<string[]> {
    const end = performance.now() + waitMs * slowness;
    for (;;) {
      const found = this.#leftovers();
      if (found.length === 0 || performance.now() > end) return found;
      await sleep(10);
    }
  }

  #leftovers(): string[] {
    const {
      containersDir,
      namesDir,
      trashDir,
      volatileDir,
      scratchDir,
      cacheDir,
      socketsDir,
      mountPoint,
      idRangesDir,
      volumesDir,
      root,
      runRoot,
    } = this.engine;
    const empty = [
      ...[containersDir, namesDir, trashDir, volatileDir, scratchDir],
      ...[socketsDir, mountPoint, idRangesDir, volumesDir],
    ];
    const files = empty.flatMap((dir) =>
      names(dir)
        .filter((name) => name !== '.creating')
        .map((name) => join(dir, name)),
    );
    const secrets = join(root, 'secrets');
    const networks = join(runRoot, 'networks');
    const known = new Set([...empty, ...[cacheDir, this.engine.eventsDir, secrets, networks, join(root, 'networks')]]);
    const others = [root, runRoot].flatMap((dir) => names(dir).map((name) => join(dir, name)));
    return [
      ...files.map((path) => `file ${path}`),
      ...others.filter((path) => !known.has(path)).map((path) => `file ${path}`),
      ...names(cacheDir)
        .filter(
          (name) => name !== 'blobs' && name !== 'compressed' && !/^seccomp-\d+-x?(x64|arm64)-[0-9a-f]+$/.test(name),
        )
        .map((name) => `file ${cacheDir}/${name}`),
      // Kept blobs are whole, or they are not there.
      ...names(join(cacheDir, 'blobs'))
        .filter((name) => !/^sha256-[0-9a-f]{64}$/.test(name))
        .map((name) => `file ${cacheDir}/blobs/${name}`),
      ...names(join(networks, 'attached')).map((name) => `file ${networks}/attached/${name}`),
      ...names(secrets)
        .filter((name) => name !== '.lock')
        .map((name) => `file ${secrets}/${name}`),
      ...this.cgroups().map((path) => `cgroup ${path}`),
      ...this.#mounts().map((line) => `mount ${line}`),
      ...this.processes().map((line) => `process ${line}`),
    ];
  }

  /** Cgroups of containers. */
  cgroups(): string[] {
    return hierarchies().flatMap((dir) =>
      entries(join(dir, this.cgroupParent))
        // Where the monitors live on cgroup v2: shared, it stays.
        .filter((name) => name !== 'tare-monitors')
        .map((name) => join(dir, this.cgroupParent, name)),
    );
  }

  #mounts(): string[] {
    return read('/proc/self/mountinfo')
      .split('\n')
      .filter((line) => line.includes(`${this.engine.root}/`) || line.includes(`${this.engine.runRoot}/`));
  }

  /** Processes that hold anything of this lab: a descriptor, a mount, a cgroup, a command line. */
  processes(): string[] {
    return processes()
      .filter((pid) => pid !== process.pid)
      .map((pid) => ({ pid, why: this.#holds(pid) }))
      .filter(({ why }) => why !== '')
      .map(({ pid, why }) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}(${why})`);
  }

  #holds(pid: number): string {
    // Dead, and its parent's business.
    if (!isAlive(pid)) return '';
    if (read(`/proc/${pid}/cgroup`).includes(`${this.cgroupParent}/`)) return 'cgroup';
    if (read(`/proc/${pid}/cmdline`).includes(this.dir)) return 'command line';
    if (read(`/proc/${pid}/mountinfo`).includes(`${this.engine.root}/`)) return 'mount';
    if (links(`/proc/${pid}/fd`).some((link) => link.startsWith(`${this.engine.root}/`))) return 'descriptor';
    return '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const engine = this.anotherEngine();
    for (const { id, sandbox = false } of listContainers(engine, { sandboxes: true }))
      await removeContainer(engine, id, { force: true, sandbox }).catch(() => {});
    for (const line of this.processes()) {
      try {
        process.kill(Number.parseInt(line, 10), 'SIGKILL');
      } catch {
        // It ended meanwhile.
      }
    }
    await until(() => this.processes().length === 0, 5000, 'processes of the lab are gone').catch(() => {});
    // Podman leaves its storage mounted on itself when it ends in an error.
    unmountBelow(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
    const parents = hierarchies().map((hierarchy) => join(hierarchy, this.cgroupParent));
    for (const dir of [...this.cgroups(), ...parents.map((parent) => join(parent, 'tare-monitors')), ...parents]) {
      try {
        rmdirSync(dir);
      } catch {
        // Absent.
      }
    }
  }
}

function flags(options: Omit<EngineOptions, 'self'>): string[] {
  return [
    `--root=${options.root}`,
    `--runroot=${options.runRoot}`,
    `--storage-root=${options.storageRoot}`,
    `--storage-runroot=${options.storageRunRoot}`,
    ...(options.cgroupManager === undefined ? [] : [`--cgroup-manager=${options.cgroupManager}`]),
    `--cgroup-parent=${options.cgroupParent ?? ''}`,
  ];
}

/** A root file system directory of busybox alone. */
export function makeRootfs(dir: string): void {
  for (const name of ['bin', 'dev', 'proc', 'sys', 'etc', 'tmp', 'run', 'var', 'root', 'data/below'])
    mkdirSync(join(dir, name), { recursive: true });
  copyFileSync('/bin/busybox', join(dir, 'bin/busybox'));
  for (const name of APPLETS) symlinkSync('busybox', join(dir, 'bin', name));
  writeFileSync(
    join(dir, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\nodd:x:1001:77::/:/bin/sh\n',
  );
  writeFileSync(join(dir, 'etc/group'), 'root:x:0:\nstaff:x:50:user\naudio:x:29:user\nuser:x:1000:\n');
  writeFileSync(join(dir, 'data/one'), '1\n');
  writeFileSync(join(dir, 'data/two'), '2\n');
  writeFileSync(join(dir, 'data/below/three'), '3\n');
}

/** Collects what a child prints and how it ends. */
export async function outcome(child: ChildProcess): Promise<Outcome> {
  const isOver = child.exitCode !== null || child.signalCode !== null;
  const code = isOver
    ? Promise.resolve(child.exitCode)
    : new Promise<number | null>((resolve) => child.on('exit', resolve));
  const [stdout, stderr] = await Promise.all([
    child.stdout ? text(child.stdout) : '',
    child.stderr ? text(child.stderr) : '',
  ]);
  return { code: await code, stdout, stderr };
}

/** Polls until something is so; `ms` on a usual machine. */
export async function until(condition: () => boolean, ms: number, what: string): Promise<void> {
  const end = performance.now() + ms * slowness;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`Timed out waiting until ${what}`);
    await sleep(5);
  }
}

/** Exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== '' && !/\) [ZX] /.test(stat);
}

/** Mount points of all cgroup hierarchies. */
function hierarchies(): string[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
}

function processes(): number[] {
  return names('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function links(dir: string): string[] {
  return names(dir).map((name) => {
    try {
      return readlinkSync(join(dir, name));
    } catch {
      return '';
    }
  });
}

function names(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** Directories in a directory. */
function entries(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** A file's text, "" when it is gone. */
export function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Everything that failed must say so in one line of the house's form. */
export const clear = (kind: ErrorKind, message: RegExp, exitCode?: number) => (error: unknown) => {
  assert.ok(error instanceof TareError, String(error));
  assert.equal(error.kind, kind, error.message);
  assert.match(error.message, /^Cannot /);
  assert.match(error.message, message);
  if (exitCode !== undefined) assert.equal(error instanceof LaunchError && error.exitCode, exitCode);
  return true;
};
