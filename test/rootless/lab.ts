/** A real unprivileged user with subordinate ids, in a mount namespace where /etc says so: the machine's own files stay as they are. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  accessSync,
  appendFileSync,
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { launcher, makeRootfs, outcome, read, type Outcome } from '../engine/lab.ts';
import { needs, type Need } from '../support/needs.ts';

/** Root makes the user; everything else happens as that user. */
export const canBeUser: Need =
  needs.root() || needs.program('newuidmap', 'setpriv', 'nsenter', 'unshare', 'busybox') || checkoutIsOpen();

function checkoutIsOpen(): Need {
  try {
    accessSync(launcher, constants.X_OK);
  } catch {
    return 'needs a built checkout: run npm run build';
  }
  const closed = parents(launcher).find(
    (dir) => spawnSync('setpriv', ['--reuid=65000', 'test', '-x', dir]).status !== 0,
  );
  return closed !== undefined && `cannot here: other users may not enter ${closed}, where the checkout is`;
}

function parents(path: string): string[] {
  const dir = dirname(path);
  return dir === path ? [] : [...parents(dir), dir];
}

export interface UserOptions {
  /** Lines of /etc/subuid and /etc/subgid; default: 65536 ids of the user's own. */
  readonly subids?: string;
  /** Default: a directory of the lab. Undefined: not set. */
  readonly runtimeDir?: string | undefined;
  /** A /dev/fuse that everybody may open, as udev makes it. */
  readonly fuse?: boolean;
  /** A /dev/net/tun that everybody may open, as udev makes it. */
  readonly tun?: boolean;
  /** A machine in small instead of this one's network: nsenter's flag for it. */
  readonly net?: string;
  /** Commands of root's in the mount namespace, before anything is run there. */
  readonly prepare?: (lab: UserLab) => readonly (readonly string[])[];
}

let users = 0;

/** One user. Disposing kills all processes of the user's, in all the user's namespaces, and deletes the files. */
export class UserLab implements AsyncDisposable {
  readonly uid = 61_000 + ((process.pid * 8 + users++) % 4000);
  /** The first of its subordinate ids. */
  readonly subid = 1_000_000_000 + (this.uid - 61_000) * 65_536;
  readonly name = `tare${this.uid}`;
  readonly dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare-user-')));
  readonly home = join(this.dir, 'home');
  readonly run = join(this.dir, 'run');
  readonly rootfs = join(this.home, 'rootfs');
  readonly #etc = join(this.dir, 'etc');
  readonly #namespace: ChildProcess;
  readonly #net: readonly string[];
  readonly env: Record<string, string>;

  constructor(options: UserOptions = {}) {
    this.#net = options.net === undefined ? [] : [options.net];
    for (const dir of [this.home, this.run, this.#etc]) mkdirSync(dir, { mode: 0o755 });
    chmodSync(this.dir, 0o755);
    for (const file of ['passwd', 'group']) copyFileSync(`/etc/${file}`, join(this.#etc, file));
    appendFileSync(join(this.#etc, 'passwd'), `${this.name}:x:${this.uid}:${this.uid}::${this.home}:/bin/sh\n`);
    appendFileSync(join(this.#etc, 'group'), `${this.name}:x:${this.uid}:\n`);
    this.setSubids(options.subids ?? `${this.name}:${this.subid}:65536\n`);
    makeRootfs(this.rootfs);
    give(this, this.home);
    give(this, this.run);
    for (const dir of [this.home, this.run]) chmodSync(dir, 0o700);
    const runtimeDir = 'runtimeDir' in options ? options.runtimeDir : this.run;
    this.env = {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      HOME: this.home,
      USER: this.name,
      TARE_DEFAULT_NETWORK: 'none',
      ...(runtimeDir === undefined ? {} : { XDG_RUNTIME_DIR: runtimeDir }),
    };
    const binds = ['passwd', 'group', 'subuid', 'subgid'].map(
      (file) => `mount --bind ${this.#etc}/${file} /etc/${file}`,
    );
    if (options.fuse === true) {
      const device = join(this.dir, 'fuse');
      binds.push(`mknod -m 666 ${device} c 10 229`, `mount --bind ${device} /dev/fuse`);
    }
    if (options.tun === true) {
      const device = join(this.dir, 'tun');
      binds.push(`mknod -m 666 ${device} c 10 200`, `mount --bind ${device} /dev/net/tun`);
    }
    for (const argv of options.prepare?.(this) ?? []) binds.push(argv.map((word) => `'${word}'`).join(' '));
    const script = ['mount --make-rshared /', ...binds, 'touch "$0"', 'exec sleep infinity'].join(' && ');
    this.#namespace = spawn('unshare', ['--mount', 'sh', '-c', script, join(this.dir, 'ready')], { stdio: 'ignore' });
    const deadline = performance.now() + 20_000;
    while (read(join(this.dir, 'ready')) === '' && !readdirSync(this.dir).includes('ready')) {
      if (performance.now() > deadline) throw new Error('the mount namespace of the test did not come up');
      spawnSync('sleep', ['0.01']);
    }
  }

  /** Replaces what /etc/subuid and /etc/subgid say. */
  setSubids(lines: string): void {
    for (const file of ['subuid', 'subgid']) writeFileSync(join(this.#etc, file), lines);
  }

  /** Starts a program as the user, or as root in the same mount namespace. */
  spawn(
    argv: readonly string[],
    options: { env?: Record<string, string>; cwd?: string; root?: boolean; uid?: number; timeoutMs?: number } = {},
  ): ChildProcess {
    const uid = String(options.uid ?? this.uid);
    const become = options.root === true ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
    const mount = `--mount=/proc/${this.#namespace.pid}/ns/mnt`;
    const inside = ['nsenter', mount, ...this.#net, `--wdns=${options.cwd ?? this.home}`];
    const [program = '', ...args] = [...inside, ...become, ...argv];
    return spawn(program, args, {
      env: { ...this.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    });
  }

  /** Runs a program as the user to its end. */
  exec(argv: readonly string[], options: Parameters<UserLab['spawn']>[1] = {}): Promise<Outcome> {
    return outcome(this.spawn(argv, options));
  }

  /** Runs `tare ARGS` as the user to its end. */
  tare(...args: string[]): Promise<Outcome> {
    return this.exec([launcher, ...args]);
  }

  /** What `tare ARGS` printed, without the last newline. Errors: when it failed. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(...args);
    if (code !== 0) throw new Error(`tare ${args.join(' ')}: ${code}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  }

  /** The user's source for containers. */
  get source(): string {
    return `rootfs:${this.rootfs}:O`;
  }

  /** Everything the store and Tare have of the user's. */
  at(...names: string[]): string {
    return join(this.home, '.local/share', ...names);
  }

  /** Pids of the user's processes by the first word of their command line. */
  processes(): { readonly pid: number; readonly command: string }[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && this.#owns(read(`/proc/${name}/status`)))
      .map((name) => ({ pid: Number(name), command: read(`/proc/${name}/cmdline`).replaceAll('\0', ' ').trim() }))
      .filter(({ command }) => command !== '');
  }

  /** The processes that keep the user's namespace. */
  holders(): number[] {
    return this.processes()
      .filter(({ command }) => command === 'tare: user namespace')
      .map(({ pid }) => pid);
  }

  /** As an accident may. The next command has to find another one, or make it. */
  killHolders(): void {
    for (const pid of this.holders()) kill(pid);
  }

  /** Everything that is there although every container was removed; the holder stays. Waits for what is on its way out. */
  async leftovers(waitMs = 5000): Promise<string[]> {
    const end = performance.now() + waitMs;
    for (;;) {
      const found = this.#leftovers();
      if (found.length === 0 || performance.now() > end) return found;
      await sleep(10);
    }
  }

  #leftovers(): string[] {
    const entries = (dir: string, known = /^\.creating$/): string[] =>
      (existsSync(dir) ? readdirSync(dir) : []).filter((name) => !known.test(name)).map((name) => join(dir, name));
    const [holder, ...others] = this.holders();
    const mounts = holder === undefined ? '' : read(`/proc/${holder}/mountinfo`);
    return [
      ...['containers', 'names', 'scratch', 'trash', 'volumes', 'networks'].flatMap((name) =>
        entries(this.at('tare', name)),
      ),
      ...['c', 's', 'mnt', 'networks/attached'].flatMap((name) => entries(join(this.run, 'tare', name))),
      ...entries(this.at('tare'), /^(containers|names|scratch|trash|cache|volumes|networks)$/),
      ...entries(join(this.run, 'tare'), /^(c|s|mnt|events|userns|networks)$/),
      ...entries(this.run, /^(tare|containers)$/),
      ...this.processes()
        .filter(({ pid }) => pid !== holder)
        .map(({ pid, command }) => `process ${pid} ${command}`),
      ...others.map((pid) => `another holder ${pid}`),
      ...mounts
        .split('\n')
        .filter((line) => line.includes(`${this.home}/`) || line.includes(`${this.run}/`))
        .map((line) => `mount ${line}`),
    ];
  }

  #owns(status: string): boolean {
    const uid = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? -1);
    return uid === this.uid || (uid >= this.subid && uid < this.subid + 65_536);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const deadline = performance.now() + 10_000;
    for (let left = this.processes(); left.length > 0 && performance.now() < deadline; left = this.processes()) {
      for (const { pid } of left) kill(pid);
      await sleep(10);
    }
    this.#namespace.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
    const podmans = [`/tmp/podman-run-${this.uid}`, `/dev/shm/libpod_rootless_lock_${this.uid}`];
    for (const left of [...podmans, `/var/tmp/tare-test-cache-${this.uid}`])
      rmSync(left, { recursive: true, force: true });
  }
}

/** At once, and nothing when it has ended. */
export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended meanwhile.
  }
}

/** Gives a file, or a directory with all that is in it, to the user. */
export function give(lab: UserLab, path: string): void {
  spawnSync('chown', ['-hR', `${lab.uid}:${lab.uid}`, path]);
}

/** PSS in kB. */
export function pssOf(pid: number): number {
  return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? NaN);
}
