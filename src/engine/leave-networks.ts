import { detach } from '../network/attach.ts';
import { hasCni } from './cni/owes-cni.ts';
import type { Engine } from './engine.ts';
import { networkPlaces } from './network-ground.ts';

/** Takes back what a container that has ended has of networks; with `forget` also what is remembered for its next start. Idempotent. The caller has its life lock, or its monitor has and is ending. */
export async function leaveNetworks(engine: Engine, id: string, forget: boolean): Promise<void> {
  if (hasCni(engine, id)) await (await import('./cni/leave-cni.ts')).leaveCni(engine, id);
  await detach(networkPlaces(engine), id, { forget });
}
