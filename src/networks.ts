import type { ListedCni } from './engine/cni/list-cni.ts';
import type { Engine } from './engine/engine.ts';
import type { JoinWish } from './network/attach.ts';
import type { Network } from './network/network.ts';
import type { NetworkWish } from './network/networks.ts';

const engineNetworks = () => import('./engine/networks.ts');

/** The networks of a root: `tare.networks`. */
export class Networks {
  readonly #engine: Engine;

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Makes a network. Errors: already-exists; invalid; failed-precondition for a subnet that is in use; exhausted; unsupported without root. */
  async create(name: string, options: Omit<NetworkWish, 'name'> = {}): Promise<Network> {
    return (await engineNetworks()).createNetwork(this.#engine, { ...options, name });
  }

  /** All, by name. */
  async list(): Promise<readonly Network[]> {
    return (await engineNetworks()).listNetworks(this.#engine);
  }

  /** Those of CNI plugins that the machine has configurations of, by name: `cni:NAME`, as `run` takes it. */
  async listCni(): Promise<readonly ListedCni[]> {
    return (await engineNetworks()).listCniNetworks(this.#engine);
  }

  /** One and who is in it, in the shape docker prints. Errors: not-found. */
  async inspect(nameOrId: string): Promise<object> {
    return (await engineNetworks()).inspectNetwork(this.#engine, nameOrId);
  }

  /** Removes one that no running container is in; with `force` they are disconnected. Errors: not-found; failed-precondition. */
  async remove(nameOrId: string, options: { readonly force?: boolean } = {}): Promise<void> {
    return (await engineNetworks()).removeNetwork(this.#engine, nameOrId, options);
  }

  /** Removes those that no container has; their names. */
  async prune(): Promise<readonly string[]> {
    return (await engineNetworks()).pruneNetworks(this.#engine);
  }

  /** Puts a container into one more network, at once and at each start. Errors: not-found; already-exists; failed-precondition. */
  async connect(network: string, container: string, place: Omit<JoinWish, 'network'> = {}): Promise<void> {
    return (await engineNetworks()).connectContainer(this.#engine, { ...place, network }, container);
  }

  /** Takes a container out of a network, at once and at each start. Errors: not-found; failed-precondition for its only one. */
  async disconnect(network: string, container: string): Promise<void> {
    return (await engineNetworks()).disconnectContainer(this.#engine, network, container);
  }

  /** Makes rules and bridges again as they should be, whatever others did to them. */
  async reload(): Promise<void> {
    return (await engineNetworks()).reloadNetworks(this.#engine);
  }
}
