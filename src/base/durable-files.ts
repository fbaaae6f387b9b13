import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';

/** Puts what a directory has on the disk: a name that was made or changed in it. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Replaces a file atomically; its contents are on the disk before. `temp`: where they are written first, for one who has a lock on the file; what a kill leaves there is written over the
 * next time.
 */
export function writeDurably(
  path: string,
  content: string | Uint8Array,
  { mode = 0o600, temp = `${path}.tmp-${process.pid}` }: { readonly mode?: number; readonly temp?: string } = {},
): void {
  const fd = openSync(temp, 'w', mode);
  try {
    writeFileSync(fd, content);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temp, path);
}
