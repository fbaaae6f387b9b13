import { readlinkSync } from 'node:fs';

/** The namespaces of a process by the numbers of their inodes; empty where it is gone or there is none. */
export interface ProcessNamespaces {
  readonly cgroup: string;
  readonly ipc: string;
  readonly mnt: string;
  readonly net: string;
  readonly pid: string;
  readonly user: string;
  readonly uts: string;
}

/** Reads them of /proc. */
export function processNamespaces(pid: number | undefined): ProcessNamespaces {
  const read = (name: string): string => {
    if (pid === undefined) return '';
    try {
      return /\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/${name}`))?.[1] ?? '';
    } catch {
      return '';
    }
  };
  return {
    cgroup: read('cgroup'),
    ipc: read('ipc'),
    mnt: read('mnt'),
    net: read('net'),
    pid: read('pid'),
    user: read('user'),
    uts: read('uts'),
  };
}
