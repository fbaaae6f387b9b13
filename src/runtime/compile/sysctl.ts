import { type Draft, invalid } from './draft.ts';
import type { Namespaces } from './namespaces.ts';

const ipcKeys = new Set(
  [
    'auto_msgmni',
    'msg_next_id',
    'msgmax',
    'msgmnb',
    'msgmni',
    'sem',
    'sem_next_id',
    'shm_next_id',
    'shm_rmid_forced',
    'shmall',
    'shmmax',
    'shmmni',
  ].map((name) => `kernel/${name}`),
);

/**
 * Path below /proc/sys of a sysctl name. As in sysctl(8), the first separator decides: in "net.ipv4.conf.eth0/1.forwarding" dots separate and
 * slashes stand for dots; in "net/ipv4/conf/eth0.1/forwarding" slashes separate.
 *
 * Errors: `invalid` for empty and ".." components.
 */
export function sysctlPath(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  const path = first === '.' ? name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.')) : name;
  if (path.includes('\0') || path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw invalid(`sysctl ${JSON.stringify(name)}`, 'it is not a name below /proc/sys');
  }
  return path;
}

/** Sysctls of the container's own namespaces; any other would change the host. Errors: `invalid`. */
export function compileSysctls(draft: Draft, sysctls: Readonly<Record<string, string>>, namespaces: Namespaces): void {
  for (const [name, value] of Object.entries(sysctls)) {
    const path = sysctlPath(name);
    const owner = owningNamespace(path);
    if (path === 'kernel/hostname') throw invalid(`sysctl ${name}`, 'set the hostname instead');
    if (owner === undefined)
      throw invalid(`sysctl ${name}`, 'it is not in a namespace of the container, it would change the host');
    if (!namespaces.has(owner))
      throw invalid(`sysctl ${name}`, `it would change the host: the container has no ${owner} namespace of its own`);
    draft.add({ op: 'sysctl', path, value });
  }
}

function owningNamespace(path: string): 'ipc' | 'network' | 'uts' | 'user' | undefined {
  if (ipcKeys.has(path) || path.startsWith('fs/mqueue/')) return 'ipc';
  if (path.startsWith('net/')) return 'network';
  if (path === 'kernel/domainname' || path === 'kernel/hostname') return 'uts';
  return path.startsWith('user/') ? 'user' : undefined;
}
