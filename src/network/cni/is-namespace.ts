import { statfsSync } from 'node:fs';

const NSFS_MAGIC = 0x6e73_6673;

/** Whether there is a namespace at a path: a mount of one, or a link of /proc. */
export function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}
