import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../src/base/errors.ts';
import { makeBundle } from './bundle.ts';
import { Missing } from './case.ts';
import { makeCgroups } from './cgroups.ts';
import { startDocker } from './docker.ts';
import { gist } from './gist.ts';
import { makeImage, makeRootfs, type TestImage } from './rootfs.ts';
import { largeImage, type LargeImage } from './large-image.ts';
import { startRegistry } from './registry.ts';
import { Timer } from './timer.ts';

/** What stage 1 hands to the lab. */
export interface LabOptions {
  /** The checkout. */
  readonly repository: string;
  /** Private directory of this run; its last part also names cgroups and containers. Whoever made it removes it. */
  readonly dir: string;
  /** Where the engines keep what is on a disk. */
  readonly disk: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/**
 * Everything the cases measure with: private roots for every engine, a busybox root file system and image, the compiled C programs.
 * Parts are made when first asked for. Disposal undoes what outlives a process: daemons and cgroups; the directory stays.
 */
export class Lab implements AsyncDisposable {
  readonly dir: string;
  /** What is gone with the machine: on a tmpfs, where every engine has it by default. */
  readonly runDir = '/run/tare-bench';
  readonly repository: string;
  readonly signal: AbortSignal;
  readonly timer: Timer;
  /** Directory with busybox, `true`, `sh`, `sleep`, `echo`. Never written to. */
  readonly rootfs: string;
  /** A cgroup path that is ours alone, for engines that take a parent. */
  readonly cgroupParent: string;
  /** An empty JavaScript file. */
  readonly emptyScript: string;
  readonly #options: LabOptions;
  readonly #made = new Map<string, Promise<unknown>>();
  readonly #stack = new AsyncDisposableStack();

  constructor(options: LabOptions) {
    this.#options = options;
    this.dir = options.disk;
    this.repository = options.repository;
    this.signal = options.signal;
    this.cgroupParent = `/${options.dir.split('/').at(-1) ?? ''}`;
    this.rootfs = join(this.dir, 'rootfs');
    this.emptyScript = join(this.dir, 'empty.js');
    makeRootfs(this.rootfs, this.program('busybox'));
    writeFileSync(this.emptyScript, '');
    this.timer = this.#stack.use(new Timer(join(options.dir, 'timer'), join(this.dir, 'stderr')));
  }

  /** A name for a container that no other run of the bench uses. */
  name(role: string): string {
    return `bench-${this.cgroupParent.slice(1)}-${role}`;
  }

  /** The full path of an installed program. Errors: Missing. */
  program(name: string): string {
    const folders = (this.#options.environment['PATH'] ?? '').split(delimiter);
    const found = folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
    if (found === undefined) throw new Missing(`${name} is not installed`);
    return found;
  }

  /** Runs a command outside the measured time; resolves to its stdout without surrounding space. Errors: Error with its stderr. */
  async run(command: readonly string[]): Promise<string> {
    const [program = '', ...args] = command;
    try {
      const { stdout } = await promisify(execFile)(program, args, { maxBuffer: 1 << 26, timeout: 120_000 });
      return stdout.trim();
    } catch (error) {
      const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
      const state = stderr === '' ? messageOf(error) : gist(stderr);
      throw new Error(`Cannot run ${basename(program)} … ${args.slice(-4).join(' ')}: ${state}`, { cause: error });
    }
  }

  /** Checks that `command` (an engine's run without the program) really runs a container: its `echo` must arrive. */
  async verify(command: readonly string[]): Promise<void> {
    const text = await this.run([...command, 'echo', 'it runs']);
    if (text !== 'it runs')
      throw new Error(`Cannot measure ${command.join(' ')}: it printed '${text}' instead of 'it runs'`);
  }

  /** `tare` with our own roots, or with others below `place`. Errors: Missing before `npm run build`. */
  tare(place = ''): readonly string[] {
    const program = join(this.repository, 'bin/tare');
    if (!existsSync(program)) throw new Missing('bin/tare is not built (npm run build)');
    const { root, runRoot, storageRoot, storageRunRoot } = this.tareRoots(place);
    const storage = ['--storage-root', storageRoot, '--storage-runroot', storageRunRoot];
    return [program, '--root', root, '--runroot', runRoot, ...storage];
  }

  /** The folders of `tare()`, and of the library. */
  tareRoots(place = ''): Readonly<Record<'root' | 'runRoot' | 'storageRoot' | 'storageRunRoot', string>> {
    return {
      root: join(this.dir, place, 't'),
      runRoot: join(this.runDir, place, 'tr'),
      storageRoot: join(this.dir, place, 'ts'),
      storageRunRoot: join(this.runDir, place, 'tsr'),
    };
  }

  /** `podman` with our own roots, or with others below `place`. Errors: Missing. */
  podman(place = ''): readonly string[] {
    const roots = ['--root', join(this.dir, place, 'p'), '--runroot', join(this.runDir, place, 'pr')];
    return [this.program('podman'), ...roots, '--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs'];
  }

  /** `podman run` with what all our podman containers share. Errors: Missing. */
  podmanRun(...flags: readonly string[]): readonly string[] {
    return [...this.podman(), 'run', ...flags, '--network', 'none', '--cgroup-parent', this.cgroupParent];
  }

  /** `docker` on a daemon that answers, or on our own if dockerd is installed but none runs; and the name of our image in it. Errors: Missing. */
  docker(): Promise<{ readonly command: readonly string[]; readonly image: string }> {
    return this.#once('docker', () => startDocker(this, this.#stack));
  }

  /** The busybox image, as an OCI layout and as a plain tar of its root. */
  image(): Promise<TestImage> {
    return this.#once('image', () => makeImage(this.rootfs, join(this.dir, 'image')));
  }

  /** The image in podman's store: its id. Errors: Missing. */
  podmanImage(): Promise<string> {
    return this.#once('podman image', async () =>
      this.run([...this.podman(), 'pull', '-q', `oci:${(await this.image()).layout}`]),
    );
  }

  /** The image in Tare's store: what `tare run` takes. Errors: Missing. */
  tareImage(): Promise<string> {
    return this.#once('tare image', async () => {
      const reference = `oci:${(await this.image()).layout}`;
      const printed = await this.run([...this.tare(), 'pull', '-q', reference]);
      return printed.split('\n').at(-1) ?? reference;
    });
  }

  /** The large image, in a registry of this machine: `localhost:PORT/large:1`, and its files. Errors: Missing. */
  largeImage(): Promise<{ readonly reference: string; readonly domain: string; readonly image: LargeImage }> {
    return this.#once('large image', async () => {
      const image = await largeImage(join(this.repository, '.cache/large-image'));
      const domain = await startRegistry(this, this.#stack, 'large');
      const reference = `${domain}/large:1`;
      const skopeo = [this.program('skopeo'), 'copy', '-q', '--dest-tls-verify=false'];
      await this.run([...skopeo, `oci:${image.layout}:large`, `docker://${reference}`]);
      return { reference, domain, image };
    });
  }

  /** A bundle for crun and runc with the defaults of an engine, for one container at a time. */
  bundle(): Promise<string> {
    return this.#once('bundle', async () => makeBundle(join(this.dir, 'bundle'), this.rootfs, this.cgroupParent));
  }

  /** An OCI runtime's `run` of the bundle, without the id. Errors: Missing. */
  async runtimeRun(name: 'crun' | 'runc'): Promise<readonly string[]> {
    return [this.program(name), '--root', join(this.runDir, name), 'run', '--bundle', await this.bundle()];
  }

  /** bench/floor.c with its arguments; `flags` come before them. */
  async floor(...flags: readonly string[]): Promise<readonly string[]> {
    const work = join(this.dir, 'floor-work');
    mkdirSync(work, { recursive: true });
    const cgroups = await this.#once('cgroups', async () => makeCgroups(this.cgroupParent));
    return [join(this.#options.dir, 'floor'), ...flags, this.rootfs, work, ...cgroups, '--', '/bin/true'];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #once<T>(key: string, make: () => Promise<T>): Promise<T> {
    const known = this.#made.get(key) as Promise<T> | undefined; // Each key is used by one caller, with one type.
    if (known !== undefined) return known;
    const made = make();
    this.#made.set(key, made);
    return made;
  }
}
