import { type Dirent, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { RENAME_NOREPLACE, renameat2, rmdirat, unlinkat } from '../sys/at.ts';
import { isErrno } from '../sys/error.ts';
import type { Fd } from '../sys/fd.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, openat2, openDirectory } from '../sys/open.ts';
import { codeOf, ifPresent } from './_file.ts';
import { randomId } from './_random.ts';

/** Deleting this many entries at once holds nobody up. */
const SMALL = 64;
/** And so many between two looks at what else there is to do. */
const AT_ONCE = 256;
/** So many directories are open at a time. */
const MAX_DEPTH = 32;

/**
 * Deletes a tree that nobody else uses any more; blocks the thread only when it is small. Names may be any bytes, and the tree deeper than a path may be long:
 * both are up to what runs in a container. Idempotent. Errors: by errno.
 */
export async function removeTree(path: string): Promise<void> {
  if (isSmall(path, { left: SMALL })) {
    try {
      return rmSync(path, { recursive: true, force: true });
    } catch (error) {
      if (codeOf(error) !== 'ENAMETOOLONG') throw error;
    }
  }
  const top = openTop(path);
  if (top !== undefined) {
    using held = top;
    await empty(held);
  }
  rmSync(path, { recursive: true, force: true });
}

/** Undefined: it is gone, or no directory. */
function openTop(path: string): Fd | undefined {
  try {
    return openDirectory(path);
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
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

/**
 * Deletes all that is in `top`, by names in open directories. What is deeper than MAX_DEPTH moves up into `top` and has its turn later: so each directory is looked at
 * once, and no path grows.
 */
async function empty(top: Fd): Promise<void> {
  const queue: string[] = [];
  let count = 0;
  const visit = async (dir: Fd, depth: number): Promise<void> => {
    for (const entry of entriesOf(dir)) {
      if (++count % AT_ONCE === 0) await new Promise(setImmediate);
      if (!entry.isDirectory()) unlessGone(() => unlinkat(dir, entry.name));
      else if (depth === MAX_DEPTH) {
        const place = `deep-${randomId()}`;
        renameat2(dir, entry.name, top, place, RENAME_NOREPLACE);
        queue.push(place);
      } else {
        {
          using child = openChild(dir, entry.name);
          await visit(child, depth + 1);
        }
        unlessGone(() => rmdirat(dir, entry.name));
      }
    }
  };
  await visit(top, 0);
  for (const place of queue) {
    {
      using child = openChild(top, place);
      await visit(child, 1);
    }
    unlessGone(() => rmdirat(top, place));
  }
}

function unlessGone(call: () => void): void {
  try {
    call();
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}

function openChild(dir: Fd, name: string | Buffer): Fd {
  return openat2(dir, name, { flags: O_RDONLY | O_DIRECTORY | O_NOFOLLOW });
}

function entriesOf(dir: Fd): Dirent<Buffer>[] {
  return readdirSync(`/proc/self/fd/${dir.number}`, { withFileTypes: true, encoding: 'buffer' });
}
