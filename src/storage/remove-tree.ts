import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RENAME_NOREPLACE, renameat2 } from '../sys/at.ts';
import type { Fd } from '../sys/fd.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openat2, openDirectory } from '../sys/open.ts';
import { codeOf, ifPresent } from './_file.ts';
import { randomId } from './_random.ts';

/** Deleting this many entries at once holds nobody up. */
const SMALL = 64;
/** So many of the longest names still make a path the kernel takes. */
const MAX_DEPTH = 8;

/**
 * Deletes a tree that nobody else uses any more; blocks the thread only when it is small. Names may be any bytes, and the tree deeper than a path may be long:
 * both are up to what runs in a container. Idempotent. Errors: by errno.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    if (isSmall(path, { left: SMALL })) rmSync(path, { recursive: true, force: true });
    else await removeLarge(path);
  } catch (error) {
    if (codeOf(error) !== 'ENAMETOOLONG') throw error;
    flatten(path);
    await removeLarge(path);
  }
}

/** Loaded late: with it come the streams, which a start has no use for (3 ms). */
async function removeLarge(path: string): Promise<void> {
  const { rm } = await import('node:fs/promises');
  await rm(path, { recursive: true, force: true });
}

function isSmall(path: string, budget: { left: number }): boolean {
  const entries = ifPresent(() => readdirSync(path, { withFileTypes: true, encoding: 'buffer' })) ?? [];
  budget.left -= entries.length;
  if (budget.left < 0) return false;
  // A name that is no text is not looked into.
  return entries.every(
    (entry) => !entry.isDirectory() || (isText(entry.name) && isSmall(join(path, entry.name.toString()), budget)),
  );
}

function isText(name: Buffer): boolean {
  return Buffer.from(name.toString()).equals(name);
}

/** Moves every directory below MAX_DEPTH up to the top, until none is deeper. */
function flatten(path: string): void {
  using top = openDirectory(path);
  let moved = 0;
  const visit = (dir: Fd, depth: number): void => {
    for (const entry of readdirSync(`/proc/self/fd/${dir.number}`, { withFileTypes: true, encoding: 'buffer' })) {
      if (!entry.isDirectory()) continue;
      if (depth === MAX_DEPTH) {
        moved++;
        renameat2(dir, entry.name, top, `deep-${randomId()}`, RENAME_NOREPLACE);
        continue;
      }
      using child = openat2(dir, entry.name, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
      visit(child, depth + 1);
    }
  };
  for (let before = -1; before !== moved;) {
    before = moved;
    visit(top, 0);
  }
}
