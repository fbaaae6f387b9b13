import type { MountIds } from '../spec/mount.ts';
import type { IdMapping } from '../spec/runtime-types.ts';
import { addon } from './addon.ts';
import { check } from './error.ts';
import { Fd, type FdLike } from './fd.ts';
import { MOUNT_ATTR_IDMAP, mountSetattr } from './mount.ts';

/** A new user namespace with these ids, in which no process is: it is there as long as the descriptor, or what uses it. Errors: by errno; `denied` without the right to map those ids. */
export function userNamespaceFd({ uidMappings, gidMappings }: MountIds): Fd {
  return Fd.adopt(check(addon().userNamespace(mapText(uidMappings), mapText(gidMappings)), 'userns'));
}

/** Makes a detached mount that nobody has used yet show other owners (mount_setattr(2), MOUNT_ATTR_IDMAP). Errors: `invalid` where the file system cannot; `denied` to all but the machine's root. */
export function mapIds(mount: FdLike, ids: MountIds, options: { readonly recursive?: boolean } = {}): void {
  using userns = userNamespaceFd(ids);
  mountSetattr(mount, { set: MOUNT_ATTR_IDMAP, userns, recursive: options.recursive === true });
}

/** As /proc/PID/uid_map takes it. */
function mapText(mappings: readonly IdMapping[]): string {
  return mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('');
}
