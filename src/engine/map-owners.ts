import { chownSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Mount, MountIds } from '../spec/mount.ts';
import type { Mount as OciMount } from '../spec/runtime-config.ts';
import { outsideId } from './user-namespace.ts';

/** A root file system whose files belong to the ids of a user namespace: nothing is copied or changed, the kernel shows them so. The writable layer has outside ids as it is. */
export function mapped(mount: Mount, { uidMappings, gidMappings }: MountIds): Mount {
  const ids = { uidMappings, gidMappings };
  if (mount.kind === 'bind') return { ...mount, ids };
  const base = homeOf(mount.lowers);
  return { ...mount, ids: base === undefined ? ids : { ...ids, base } };
}

/** The same for a further overlay of a `host:` container. */
export function mappedMount(mount: OciMount, { uidMappings, gidMappings }: MountIds): OciMount {
  return mount.type === 'overlay' ? { ...mount, uidMappings, gidMappings } : mount;
}

/** Where the layers of an image are, `HOME/ID/diff`. */
function homeOf(lowers: readonly string[]): string | undefined {
  const home = dirname(dirname(lowers[0] ?? '/'));
  const isIn = (lower: string): boolean => lower.startsWith(`${home}/`) && dirname(dirname(lower)) === home;
  return lowers.length > 1 && home !== '/' && lowers.every(isIn) ? home : undefined;
}

/** A writable layer shows its own root directory: that belongs to whom the one below it would. To be done before it is mounted; returns what takes it back. */
export function giveUpper(upper: string, { uidMappings, gidMappings }: MountIds): () => void {
  const { uid, gid } = statSync(upper);
  chownSync(upper, outsideId(uidMappings, uid) ?? uid, outsideId(gidMappings, gid) ?? gid);
  return () => chownSync(upper, uid, gid);
}
