import type { Engine } from './engine/engine.ts';
import type { ClonePodOptions } from './engine/pods/clone-pod.ts';
import type { CreatePodOptions } from './engine/pods/create-pod.ts';
import type { PodSummary } from './engine/pods/list-pods.ts';

const act = () => import('./engine/pods/act-on-pod.ts');

/** The pods of a root: `tare.pods`. Containers come into one by `run` with `pod`. */
export class Pods {
  readonly #engine: Engine;

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Makes a pod; nothing of it runs yet. Errors: already-exists; invalid; not-found network; unsupported. */
  async create(options: CreatePodOptions = {}): Promise<{ readonly id: string; readonly name: string }> {
    const { id, name } = await (await import('./engine/pods/create-pod.ts')).createPod(this.#engine, options);
    return { id, name };
  }

  /** Makes one like another one, with its containers; its id. Errors: not-found; already-exists; unsupported for containers run with --rm. */
  async clone(nameOrId: string, options: ClonePodOptions = {}): Promise<string> {
    return (await import('./engine/pods/clone-pod.ts')).clonePod(this.#engine, nameOrId, options);
  }

  /** All, newest first. */
  async list(): Promise<readonly PodSummary[]> {
    return (await import('./engine/pods/list-pods.ts')).listPods(this.#engine);
  }

  /** Everything about one in the shape podman prints. Errors: not-found. */
  async inspect(nameOrId: string): Promise<object> {
    return (await import('./engine/pods/inspect-pod.ts')).inspectPod(this.#engine, nameOrId);
  }

  /** Whether there is one. */
  async exists(nameOrId: string): Promise<boolean> {
    return (await import('./engine/pods/pod-exists.ts')).podExists(this.#engine, nameOrId);
  }

  /** Starts its sandbox, its init containers one after the other, then all others. Errors: not-found; failed-precondition, naming those that did not start. */
  async start(nameOrId: string): Promise<void> {
    await (await act()).startPod(this.#engine, nameOrId);
  }

  /** Stops its containers, then its sandbox. Errors: not-found; failed-precondition. */
  async stop(nameOrId: string, options: { readonly timeoutSeconds?: number } = {}): Promise<void> {
    await (await act()).stopPod(this.#engine, nameOrId, options);
  }

  /** Stops and starts it. Errors: as of both. */
  async restart(nameOrId: string, options: { readonly timeoutSeconds?: number } = {}): Promise<void> {
    await (await act()).restartPod(this.#engine, nameOrId, options);
  }

  /** Sends a signal to the first process of each of its containers. Errors: not-found; invalid; failed-precondition when none runs. */
  async kill(nameOrId: string, signal = 'KILL'): Promise<void> {
    await (await act()).killPod(this.#engine, nameOrId, signal);
  }

  /** Lets all its processes stand still until `unpause`. Errors: not-found; failed-precondition. */
  async pause(nameOrId: string): Promise<void> {
    await (await act()).pausePod(this.#engine, nameOrId);
  }

  /** Lets them go on. Errors: not-found; failed-precondition. */
  async unpause(nameOrId: string): Promise<void> {
    await (await act()).unpausePod(this.#engine, nameOrId);
  }

  /** Removes it with its containers; with `force` those that run as well. Errors: not-found; failed-precondition. */
  async remove(
    nameOrId: string,
    options: { readonly force?: boolean; readonly timeoutSeconds?: number } = {},
  ): Promise<void> {
    await (await import('./engine/pods/remove-pod.ts')).removePod(this.#engine, nameOrId, options);
  }

  /** Removes those in which nothing runs any more; their ids. */
  async prune(): Promise<readonly string[]> {
    return (await import('./engine/pods/remove-pod.ts')).prunePods(this.#engine);
  }
}
