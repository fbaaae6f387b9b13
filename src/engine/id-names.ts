import { readFileSync } from 'node:fs';
import { openDirectory } from '../sys/open.ts';
import { readBeneath } from './users.ts';

/** Names of users and groups in one file system. */
export interface IdNames {
  readonly user: (uid: number) => string;
  readonly group: (gid: number) => string;
}

/** Reads them beneath a root directory, whatever it holds: ids that nothing names, and all where there is nothing to read, are numbers. */
export function idNames(root: string): IdNames {
  const users = namesIn(root, 'etc/passwd');
  const groups = namesIn(root, 'etc/group');
  return { user: (uid) => users.get(uid) ?? String(uid), group: (gid) => groups.get(gid) ?? String(gid) };
}

function namesIn(root: string, path: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  try {
    using dir = openDirectory(root);
    for (const line of (readBeneath(dir, path) ?? '').split('\n')) {
      const [name = '', , id = ''] = line.split(':');
      if (name !== '' && /^[0-9]{1,10}$/.test(id) && !names.has(Number(id))) names.set(Number(id), name);
    }
  } catch {
    // Not a file, too large, not to be read: then there are no names.
  }
  return names;
}

/** Turns ids as we see them into those of the user namespace of a process. `kind`: uid_map or gid_map. */
export function idsIn(pid: number, kind: 'uid_map' | 'gid_map'): (id: number) => number {
  let text = '';
  try {
    text = readFileSync(`/proc/${pid}/${kind}`, 'latin1');
  } catch {
    // It ended: no names matter any more.
  }
  const extents = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return (id) => {
    for (const [inside = 0, outside = 0, count = 0] of extents)
      if (id >= outside && id < outside + count) return inside + id - outside;
    return id;
  };
}
