import { lstatSync, mkdirSync, readdirSync, readlinkSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

/** How a tree with other mounts in it is put together where overlayfs takes no tree that others are mounted on: as the namespaces of unprivileged users are. */
export interface HostParts {
  /** Directories with nothing mounted in them: an overlay each. */
  readonly overlays: readonly string[];
  /** Directories and files that are shown as they are, read-only. */
  readonly binds: readonly string[];
}

/** A directory with more entries than this is shown as it is: an overlay for each would cost more than it is worth. */
const MAX_ENTRIES = 64;

/**
 * Splits the tree at `path` between its mounts, and makes `skeleton`, an empty directory, into what holds the parts: directories and symlinks.
 *
 * `mountPoints` are all mounts of the machine, `isEmpty` says which directories stay empty. What cannot be read is empty, too.
 */
export function hostParts(
  path: string,
  skeleton: string,
  mountPoints: ReadonlySet<string>,
  isEmpty: (directory: string) => boolean,
): HostParts {
  const overlays: string[] = [];
  const binds: string[] = [];
  const hasMounts = (directory: string): boolean =>
    [...mountPoints].some(
      (point) => point.startsWith(directory === '/' ? '/' : `${directory}/`) && point !== directory,
    );
  const split = (directory: string, within: string): void => {
    for (const name of entriesOf(directory)) {
      const entry = join(directory, name);
      const place = join(within, name);
      const kind = lstatSync(entry, { throwIfNoEntry: false });
      if (kind?.isSymbolicLink() === true) symlinkSync(readlinkSync(entry), place);
      else if (kind?.isFile() === true) binds.push(entry);
      if (kind?.isDirectory() !== true) continue;
      mkdirSync(place, { mode: 0o755 });
      if (isEmpty(entry)) continue;
      if (!hasMounts(entry)) overlays.push(entry);
      else if (entriesOf(entry).length > MAX_ENTRIES) binds.push(entry);
      else split(entry, place);
    }
  };
  split(path, skeleton);
  return { overlays: overlays.filter(isEnterable), binds };
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

/** A mount point that its owner keeps from all others, as FUSE can. */
function isEnterable(directory: string): boolean {
  try {
    return statSync(directory).isDirectory();
  } catch {
    return false;
  }
}
