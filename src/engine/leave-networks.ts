import { existsSync } from 'node:fs';
import { detach } from '../network/attach.ts';
import { cniStateDir } from './cni/cni-names.ts';
import type { Engine } from './engine.ts';
import { networkPlaces } from './network-ground.ts';

/** Takes back what a container that has ended has of networks; with `forget` also what is remembered for its next start. Idempotent. The caller has its life lock, or its monitor has and is ending. */
export async function leaveNetworks(engine: Engine, id: string, forget: boolean): Promise<void> {
  if (existsSync(`${cniStateDir(engine)}/${id}`)) await (await import('./cni/leave-cni.ts')).leaveCni(engine, id);
  await detach(networkPlaces(engine), id, { forget });
}
