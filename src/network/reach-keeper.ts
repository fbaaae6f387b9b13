import { mkdirSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, TareError } from '../base/errors.ts';
import { Fd } from '../sys/fd.ts';
import { lockWait } from '../sys/lock.ts';
import { networkNamespace } from '../sys/network-namespace.ts';
import { networkProgram, pidfdOpen, startHelper } from '../sys/process.ts';
import { listenUnix } from '../sys/socket.ts';
import { fstat } from '../sys/stat.ts';
import { attachedContainers, readAttachment } from './attachment.ts';
import { forwardPorts } from './forward-ports.ts';
import { Keeper } from './keeper.ts';
import type { NetworkPlaces } from './network-places.ts';
import { makeReturnWay } from './return-way.ts';
import { makeWayOut } from './way-out.ts';

/** What is to be known of a user whose networks are kept. */
export interface KeptNetworks {
  readonly places: NetworkPlaces;
  /** The process that holds what a living container has of networks; undefined while there is none. */
  monitorOf(container: string): number | undefined;
  /** Where pasta is. */
  readonly pasta: string | undefined;
  /** Default: the one that is built with us. */
  readonly program?: string;
}

/** Why it is reached: a container is to be in a network; what is there is to be whole; something is to be undone. */
export type Purpose = 'join' | 'mend' | 'look';

/** A connection to the keeper, and what there is to say about it. */
export interface ReachedKeeper {
  readonly keeper: Keeper;
  readonly warnings: readonly string[];
}

/**
 * The keeper of a user's networks. It is started when there is none and a container is to be in a network, or is in one: its keeper was killed then, and a new one goes on in the namespace, which the
 * containers' monitors hold, with their ports. One at a time does so. Undefined: there is nothing to keep.
 *
 * Errors: unavailable when it cannot be started; by errno.
 */
export async function reachKeeper(kept: KeptNetworks, purpose: Purpose): Promise<ReachedKeeper | undefined> {
  const path = join(kept.places.run, 'keeper');
  const found = Keeper.connect(path);
  if (found !== undefined && (found.hasWayOut || purpose === 'look')) return { keeper: found, warnings: [] };
  found?.[Symbol.dispose]();
  const living = attachedContainers(kept.places).filter((container) => kept.places.isAlive(container));
  if (purpose !== 'join' && living.length === 0) return undefined;
  mkdirSync(kept.places.run, { recursive: true, mode: 0o700 });
  using lock = Fd.adopt(openSync(`${path}.lock`, 'a+', 0o600));
  await lockWait(lock, 'write');
  const warnings: string[] = [];
  const keeper = Keeper.connect(path) ?? (await startKeeper(kept, path, living, warnings));
  if (keeper.hasWayOut) return { keeper, warnings };
  try {
    using way = Keeper.connect(path);
    const problem = way === undefined ? undefined : await makeWayOut(way, kept.pasta);
    return { keeper, warnings: [...warnings, ...(problem === undefined ? [] : [problem])] };
  } catch (error) {
    keeper[Symbol.dispose]();
    throw error;
  }
}

async function startKeeper(
  kept: KeptNetworks,
  path: string,
  living: readonly string[],
  warnings: string[],
): Promise<Keeper> {
  using netns = survivingNamespace(kept, path, living) ?? networkNamespace();
  writeFileSync(`${path}.netns`, String(fstat(netns).inode), { mode: 0o600 });
  try {
    makeReturnWay(netns);
  } catch (error) {
    warnings.push(`containers do not see the addresses of clients of published ports: ${messageOf(error)}`);
  }
  rmSync(path, { force: true });
  {
    using listener = listenUnix(path);
    using program = networkProgram(kept.program);
    startHelper('network', [listener, netns], { program }).pid();
  }
  const keeper = Keeper.connect(path);
  if (keeper === undefined)
    throw new TareError('unavailable', "Cannot start the process that keeps the user's networks: it ended at once");
  for (const container of living) warnings.push(...(await forwardAgain(kept, path, container)));
  return keeper;
}

/** The namespace of a keeper that was killed: monitors of containers that live hold it. */
function survivingNamespace(kept: KeptNetworks, path: string, living: readonly string[]): Fd | undefined {
  let inode: string;
  try {
    inode = readFileSync(`${path}.netns`, 'utf8');
  } catch {
    return undefined;
  }
  for (const container of living) {
    const pid = kept.monitorOf(container);
    if (pid === undefined) continue;
    const fds = `/proc/${pid}/fd`;
    try {
      const found = readdirSync(fds).find((number) => linkOf(join(fds, number)) === `net:[${inode}]`);
      if (found !== undefined) return Fd.adopt(openSync(join(fds, found), 'r'));
    } catch {
      // It ended.
    }
  }
  return undefined;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** The ports of a container that has a connection to a keeper that is dead. Returns what could not be done. */
async function forwardAgain(kept: KeptNetworks, path: string, container: string): Promise<string[]> {
  const ports = readAttachment(kept.places, container)?.ports ?? [];
  const pid = kept.monitorOf(container);
  if (ports.length === 0 || pid === undefined) return [];
  try {
    using process = pidfdOpen(pid);
    using keeper = Keeper.connect(path);
    if (keeper === undefined) return [];
    await forwardPorts(kept.places, keeper, container, ports, 0);
    keeper.endWith(process);
    return [];
  } catch (error) {
    return [`ports of container ${container.slice(0, 12)} are not reached any more: ${messageOf(error)}`];
  }
}
