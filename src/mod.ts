/**
 * Tare for programs: pull, run and inspect containers without a daemon.
 *
 * ```ts
 * import { open } from 'tare';
 * await using tare = await open();
 * await using box = await tare.run('host:', ['uname', '-a']);
 * for await (const chunk of box.stdout) process.stdout.write(chunk);
 * const { code } = await box.wait();
 * ```
 *
 * Containers started here belong to the program: when it leaves the scope, or dies in whatever way, they are killed and removed.
 * Everything throws `TareError` with a closed `kind`.
 */
import { fileURLToPath } from 'node:url';
import { Container } from './container.ts';
import type { CreateOptions } from './engine/create-options.ts';
import { createEngine, ensureLayout, type Engine } from './engine/engine.ts';
import { listContainers, type ContainerSummary } from './engine/list.ts';
import { runContainer } from './engine/run.ts';

export { TareError, isKind, type ErrorKind } from './base/errors.ts';
export { Container, type ContainerProcess, type ProcessExit } from './container.ts';
export { LaunchError } from './engine/launch-error.ts';
export type { CreateOptions, ExecOptions, MountRequest, ResourceLimits } from './engine/create-options.ts';
export type { ContainerSummary } from './engine/list.ts';

/** Where Tare keeps its state; the defaults are the command line's. */
export interface OpenOptions {
  readonly root?: string;
  readonly runRoot?: string;
  readonly storageRoot?: string;
  readonly storageRunRoot?: string;
  readonly cgroupParent?: string;
}

/** Options of `Tare.run`: those of a container, and an AbortSignal that kills it. */
export interface RunOptions extends Omit<CreateOptions, 'source' | 'argv' | 'autoRemove'> {
  readonly signal?: AbortSignal;
}

/** An opened Tare. Disposing it kills and removes every container it still runs. */
export class Tare implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #containers = new Set<Container>();

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Runs a container that this program owns. `source` is an image reference, `host:`, `host:/path`, `rootfs:/path[:O]` or `bundle:/path`;
   * an empty `argv` runs the image's own command.
   *
   * Errors: invalid options; not-found source; LaunchError when it cannot start; cancelled.
   */
  async run(source: string, argv: readonly string[] = [], options: RunOptions = {}): Promise<Container> {
    const { signal, ...rest } = options;
    signal?.throwIfAborted();
    const running = await runContainer(this.#engine, { log: { driver: 'none' }, ...rest, source, argv, autoRemove: true }, { detach: false, owner: true });
    const container = new Container(this.#engine, running, signal);
    this.#containers.add(container);
    running.exit.finally(() => this.#containers.delete(container)).catch(() => {});
    return container;
  }

  /** All containers in this root, newest first, whoever started them. */
  ps(): ContainerSummary[] {
    return listContainers(this.#engine);
  }

  /** Pulls an image into the store. Returns its id. Errors: not-found, denied, unavailable, invalid (bad content). */
  async pull(reference: string, options: { readonly platform?: string; readonly signal?: AbortSignal } = {}): Promise<string> {
    const { pullImage } = await import('./engine/images.ts');
    return (await pullImage(this.#engine, reference, options)).imageId;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#containers].map((container) => container[Symbol.asyncDispose]()));
  }
}

/** Opens Tare. Creates its directories when missing. Errors: denied without the rights to. */
export async function open(options: OpenOptions = {}): Promise<Tare> {
  const root = options.root ?? '/var/lib/tare';
  const runRoot = options.runRoot ?? '/run/tare';
  const storageRoot = options.storageRoot ?? '/var/lib/containers/storage';
  const storageRunRoot = options.storageRunRoot ?? '/run/containers/storage';
  const launcher = fileURLToPath(new URL('../bin/tare', import.meta.url));
  const engine = createEngine({
    root,
    runRoot,
    storageRoot,
    storageRunRoot,
    self: [launcher, '--root', root, '--runroot', runRoot, '--storage-root', storageRoot, '--storage-runroot', storageRunRoot],
    ...(options.cgroupParent === undefined ? {} : { cgroupParent: options.cgroupParent }),
  });
  ensureLayout(engine);
  return new Tare(engine);
}
