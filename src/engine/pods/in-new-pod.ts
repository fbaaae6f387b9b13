import { dropUndefined } from '../../base/defined.ts';
import type { CreateOptions } from '../create-options.ts';
import type { Engine } from '../engine.ts';
import { createPod } from './create-pod.ts';
import { removePod } from './remove-pod.ts';

/**
 * Makes a pod (`pod` is `new:NAME`, or `new:` for a generated name) with what the options say of networks and names, and its first container by `act`. When that fails, the pod is removed; killed in between, it stays and
 * is empty. Errors: those of both.
 */
export async function inNewPod<T>(
  engine: Engine,
  options: CreateOptions,
  act: (options: CreateOptions) => Promise<T>,
): Promise<T> {
  const { pod = '', hostname, network, ip, ip6, macAddress, networkAliases, publish, ...more } = options;
  const { dns, dnsSearch, dnsOptions, addHosts, ...rest } = more;
  const name = pod.slice('new:'.length);
  const { id } = await createPod(
    engine,
    dropUndefined({
      name: name === '' ? undefined : name,
      hostname,
      network,
      ip,
      ip6,
      macAddress,
      networkAliases,
      publish,
      dns,
      dnsSearch,
      dnsOptions,
      addHosts,
    }),
  );
  try {
    return await act({ ...rest, pod: id });
  } catch (error) {
    await removePod(engine, id, { force: true }).catch(() => {});
    throw error;
  }
}
