import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkPlaces } from '../network/network-places.ts';
import type { Purpose } from '../network/reach-keeper.ts';
import { isLifeHeld } from '../runtime/state.ts';
import type { Fd } from '../sys/fd.ts';
import { EVENTS_NAME } from './emit.ts';
import type { Engine } from './engine.ts';
import { machineNameservers } from './network-files.ts';
import { containerDir } from './record.ts';
import { resolverCgroupFiles } from './resolver-cgroup.ts';

const STANDARD_ROOT = '/var/lib/tare';

/** Where networks take place while something of them is changed. Disposing lets go of it. */
export interface Ground extends Disposable {
  readonly places: NetworkPlaces;
  readonly warnings: readonly string[];
  /** What the monitor of a container in these networks has to hold. */
  readonly held: readonly Fd[];
  /** The machine as containers reach it, where that is not the gateway of their network. */
  readonly machine?: string;
}

/** Opens it: for a container that is to be in a network (`join`), to make whole what others broke (`mend`), or to undo things (`look`). Errors: for a user as `reachKeeper`. */
export async function openGround(engine: Engine, purpose: Purpose): Promise<Ground> {
  if (engine.rootless !== undefined) return (await import('./user-ground.ts')).userGround(engine, purpose);
  return { places: networkPlaces(engine), warnings: [], held: [], [Symbol.dispose]: () => {} };
}

/** Where an engine's networks are. Each engine has a table of its own in the packet filter, so that one does not throw away another's. */
export function networkPlaces(engine: Engine): NetworkPlaces {
  return {
    records: join(engine.root, 'networks'),
    run: join(engine.runRoot, 'networks'),
    table: engine.root === STANDARD_ROOT ? 'tare' : `tare_${digestOf(engine.root)}`,
    // A user's resolver is not in the machine's own namespace.
    nameservers: () => machineNameservers(engine.rootless !== undefined),
    events: () => {
      mkdirSync(engine.eventsDir, { recursive: true, mode: 0o700 });
      return join(engine.eventsDir, EVENTS_NAME);
    },
    cgroupFiles: () => resolverCgroupFiles(engine),
    isAlive: (container) => isLifeHeld(containerDir(engine, container)) === true,
  };
}

/** FNV-1a: 32 bits of a text, as 8 hexadecimal digits. */
function digestOf(text: string): string {
  let hash = 0x811c_9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
