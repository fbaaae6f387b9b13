import { readdirSync } from 'node:fs';
import { codeOf, readKernelFile } from './files.ts';
import type { CgroupPlan } from './plan.ts';

/** A cgroup directory and all cgroups below it, deepest first. Empty when it is gone. */
export function cgroupTree(dir: string): string[] {
  let entries;
  try {
    entries = readdirSync(dir, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
  return [
    ...entries.filter((entry) => entry.isDirectory()).flatMap((entry) => cgroupTree(`${dir}/${entry.name}`)),
    dir,
  ];
}

/**
 * The processes in a container's cgroup and below it, ascending, as seen from our pid namespace (processes of one we cannot see are left out).
 * A snapshot: the next moment may differ. Empty when the cgroup is gone.
 */
export function cgroupProcesses(plan: Pick<CgroupPlan, 'root' | 'procs'>): number[] {
  if (plan.procs === '') return [];
  return pidsBelow(`${plan.root}/${plan.procs.slice(0, plan.procs.lastIndexOf('/'))}`);
}

/** The processes in one directory and below it. */
export function pidsBelow(dir: string): number[] {
  const pids = new Set<number>();
  for (const cgroup of cgroupTree(dir)) {
    // A threaded v2 cgroup answers EOPNOTSUPP: its processes are listed at its domain, which is above.
    for (const line of readProcs(`${cgroup}/cgroup.procs`)) if (line !== '' && line !== '0') pids.add(Number(line));
  }
  return [...pids].sort((a, b) => a - b);
}

function readProcs(file: string): string[] {
  try {
    return readKernelFile(file)?.split('\n') ?? [];
  } catch (error) {
    if (codeOf(error) === 'EOPNOTSUPP' || codeOf(error) === 'ENOTSUP') return [];
    throw error;
  }
}
