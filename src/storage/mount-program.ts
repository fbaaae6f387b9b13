import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, createFile, readCapped } from './_file.ts';

const FLAG = '.has-mount-program';

/**
 * Whether a store (its `overlay` directory) is mounted with fuse-overlayfs. The file is containers/storage's: podman writes `true` when storage.conf names a `mount_program`, or when the kernel refuses a
 * trial mount and fuse-overlayfs is installed. From then on whiteouts in its layers are `.wh.` files, which the kernel's overlayfs does not know: there is no way back.
 */
export function hasMountProgram(home: string): boolean {
  return readCapped(join(home, FLAG), 64)?.toString().trim() === 'true';
}

/** Says how a new store is mounted, unless somebody has. Errors: by errno. */
export function initMountProgram(home: string, fuse: boolean): void {
  if (existsSync(join(home, FLAG))) return;
  try {
    createFile(join(home, FLAG), String(fuse));
  } catch (error) {
    // Another first command was faster.
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

/** Says for good that it is. Idempotent; whole or not at all. Errors: by errno. */
export function setMountProgram(home: string): void {
  if (hasMountProgram(home)) return;
  const temp = join(home, `${FLAG}.${process.pid}`);
  createFile(temp, 'true', { flags: 'w', sync: true });
  renameSync(temp, join(home, FLAG));
}
