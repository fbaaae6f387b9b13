import { existsSync, openSync } from 'node:fs';
import { ifPresent } from '../base/if-present.ts';
import { Fd } from '../sys/fd.ts';
import { isLocked } from '../sys/lock.ts';
import { anyCni, holdsCni } from './cni/owes-cni.ts';
import type { Engine } from './engine.ts';
import type { ContainerRecord } from './record.ts';

/** Whether a container has networks of its own when it runs. */
export function joinsNetworks({ net }: Pick<ContainerRecord, 'net'>): boolean {
  return net !== undefined && net.join.length > 0;
}

/** The container whose networks it is in, by id: in a pod that shares them, the sandbox. */
export function networkHolder({ id, pod }: Pick<ContainerRecord, 'id' | 'pod'>): string {
  return pod?.shares.includes('net') === true ? pod.id : id;
}

/** Whether a container has something of networks that is to be taken back when it is dead: a look or two, without the code of networks. */
export function holdsNetworks(engine: Engine, id: string): boolean {
  return existsSync(`${engine.runRoot}/networks/attached/${id}`) || holdsCni(engine, id);
}

/** Whether containers should find each other by name, and nobody answers: the resolver was killed. */
export function lacksResolver(engine: Engine): boolean {
  const dir = `${engine.runRoot}/networks/names`;
  if (!existsSync(`${dir}/table`)) return false;
  const number = ifPresent(() => openSync(`${dir}/life`, 'r'));
  // Not there yet, or not any more: who has the lock of the networks sees which.
  if (number === undefined) return true;
  using life = Fd.adopt(number);
  return !isLocked(life);
}

/** Whether any has. */
export function anyNetworks(engine: Engine): boolean {
  return existsSync(`${engine.runRoot}/networks/attached`) || anyCni(engine);
}

/** How many descriptors the monitor of a container holds for its networks: those of its ground, of its ports, or of its pasta. */
export function heldCount(engine: Engine, { net }: Pick<ContainerRecord, 'net'>): number {
  if (net?.pasta !== undefined) return 1;
  if (net === undefined || net.join.length === 0) return 0;
  if (engine.rootless !== undefined) return 2;
  return net.ports.length > 0 ? 1 : 0;
}
