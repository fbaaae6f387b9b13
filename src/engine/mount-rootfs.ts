import type { Mount } from '../spec/mount.ts';
import { mountDetached } from '../sys/mount-detached.ts';
import type { ServedMount } from '../sys/mount-fuse.ts';
import type { Engine } from './engine.ts';
import type { ContainerRecord } from './record.ts';

/** Whose root file system it is. */
export type MountedFor = Pick<ContainerRecord, 'id' | 'source'>;

/**
 * The root file system of a container, detached. Where the kernel refuses an overlay with a writable layer, or its layers are not for the kernel, by fuse-overlayfs (fuse-overlay.ts).
 *
 * Errors: by what the kernel says, with what to do.
 */
export async function mountRootfs(engine: Engine, mount: Mount, container: MountedFor): Promise<ServedMount> {
  if (mount.kind === 'bind') return mountDetached(mount);
  if (mount.fuse === true) return (await import('./fuse-overlay.ts')).mountByFuse(engine, mount);
  try {
    return mountDetached(mount);
  } catch (error) {
    return await (await import('./fuse-overlay.ts')).mountInstead(engine, mount, container, error);
  }
}
