import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deleteLink } from '../sys/netlink/links.ts';
import { NetlinkSocket } from '../sys/netlink/socket.ts';
import type { NetworkPlaces } from './network-places.ts';

/** The kernel needs some milliseconds for it. */
const PATIENCE_MS = 1_000;

const dyingDir = ({ run }: NetworkPlaces): string => join(run, 'dying');

/**
 * Leaves links of a container that has ended to the kernel: they go with its network namespace, which nobody has to wait for (to delete one takes ten milliseconds and more). They are noted, for a
 * namespace that somebody else keeps alive. The caller has the lock.
 */
export function leaveToDie(places: NetworkPlaces, links: readonly string[]): void {
  const dir = dyingDir(places);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (const link of links) writeFileSync(join(dir, link), '', { mode: 0o600 });
}

/** Deletes those that should be gone by now and are not. The caller has the lock. */
export function sweepDyingLinks(places: NetworkPlaces): void {
  const dir = dyingDir(places);
  let names: string[];
  try {
    names = readdirSync(dir);
  } catch {
    return;
  }
  const due = names.filter((name) => {
    const noted = statSync(join(dir, name), { throwIfNoEntry: false });
    return noted !== undefined && Date.now() - noted.mtimeMs > PATIENCE_MS;
  });
  if (due.length === 0) return;
  using socket = NetlinkSocket.open('route', places.netns);
  socket.request(due.map(deleteLink));
  for (const name of due) rmSync(join(dir, name), { force: true });
}
