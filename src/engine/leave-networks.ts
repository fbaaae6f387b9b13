import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { detach } from '../network/attach.ts';
import { formerDir } from '../network/network-places.ts';
import { hasCni } from './cni/owes-cni.ts';
import type { Engine } from './engine.ts';
import { holdsNetworks } from './holds-networks.ts';
import { networkPlaces, openGround } from './network-ground.ts';

/** Takes back what a container that has ended has of networks; with `forget` also what is remembered for its next start. Idempotent. The caller has its life lock, or its monitor has and is ending. */
export async function leaveNetworks(engine: Engine, id: string, forget: boolean): Promise<void> {
  if (hasCni(engine, id)) await (await import('./cni/leave-cni.ts')).leaveCni(engine, id);
  if (!holdsNetworks(engine, id) && !existsSync(join(formerDir(networkPlaces(engine)), id))) return;
  using ground = await openGround(engine, 'look');
  await detach(ground.places, id, { forget });
}
