import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CgroupPlan } from '../runtime/cgroup/mod.ts';
import { SCOPE_MONITOR, type ScopePlace } from '../runtime/cgroup/scope-path.ts';
import type { FuseDaemon } from '../sys/mount-fuse.ts';
import { cgroupHost } from './cgroups.ts';

/**
 * The daemon behind a container's root file system goes where its monitor is: out of the login session, which may take its processes along when it ends, and in no container's cgroup, which is frozen and killed
 * as a whole. Where there is no such place it stays.
 */
export function settleDaemon(daemon: FuseDaemon, cgroup: CgroupPlan, scope: ScopePlace | undefined): void {
  const files =
    scope === undefined
      ? cgroup.leave.map((file) => join(cgroup.root, file.replace(/tasks$/, 'cgroup.procs')))
      : [join(cgroupHost().root, scope.path, SCOPE_MONITOR, 'cgroup.procs')];
  for (const file of files) {
    const { pid } = daemon;
    if (pid === undefined) return;
    try {
      writeFileSync(file, String(pid));
    } catch {
      // Not ours to move, or it has just ended, which whoever uses the mount learns.
    }
  }
}
