import { mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { Fd, type FdLike } from '../sys/fd.ts';
import { lockWait } from '../sys/lock.ts';
import type { Keeper } from './keeper.ts';

/** Where networks are: their records, what lives of them, and the network namespace of their bridges. */
export interface NetworkPlaces {
  /** Records of networks; kept over a reboot. */
  readonly records: string;
  /** Leases and attachments; gone with a reboot, as the links are. */
  readonly run: string;
  /** Name of our table in the packet filter. */
  readonly table: string;
  /** Default: the caller's own. */
  readonly netns?: FdLike;
  /** Who forwards ports into it; default: the packet filter, since the ports are its own. */
  readonly keeper?: Keeper;
  /** Whether a container, by its id, is being made, runs, or waits for its start. */
  isAlive(container: string): boolean;
  /** Whom the machine asks for names, in its order; default: nobody. */
  nameservers?(): readonly string[];
  /** The file that events are appended to, of what containers were refused; default: nobody is told. */
  events?(): string;
  /** The program that answers for names; default: ours. */
  readonly resolver?: string;
  /** Files of cgroups that the resolver enters, so that the end of its starter's session is not its own. */
  cgroupFiles?(): readonly string[];
}

export const leasesDir = ({ run }: NetworkPlaces, networkId: string): string => join(run, 'leases', networkId);
export const formerDir = ({ run }: NetworkPlaces): string => join(run, 'former');
/** What the resolver knows, and where it is asked. */
export const namesDir = ({ run }: NetworkPlaces): string => join(run, 'names');
export const attachmentsDir = ({ run }: NetworkPlaces): string => join(run, 'attached');

/**
 * The lock of all networks of these places, taken for each change: links and rules are made under locks of the kernel's anyway, one at a time. Held for milliseconds; it ends with its holder.
 */
export async function lockNetworks(places: NetworkPlaces, signal?: AbortSignal): Promise<Disposable> {
  mkdirSync(places.records, { recursive: true, mode: 0o700 });
  for (const dir of [attachmentsDir(places), formerDir(places)]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  using file = Fd.adopt(openSync(join(places.run, 'lock'), 'a+', 0o600));
  await lockWait(file, 'write', signal === undefined ? {} : { signal });
  return Fd.adopt(file.release());
}
