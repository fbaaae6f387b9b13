/**
 * The cgroup of one container, on cgroup v1, v2 and the hybrid of both.
 *
 * `detectCgroups` reads the machine's hierarchies out of /proc; `planCgroup` turns a container's OCI resources into a CgroupPlan, a list of
 * directories, file writes and (for v2) an eBPF program, and refuses what no kernel takes; `createCgroup` does what the plan says and returns
 * the plan in force. Processes enter by themselves: the helper gets `tasks` and `unified`, the monitor `kill`, `procs`, `freezer` and `oom`.
 * The rest works on a plan of a cgroup that exists: `killCgroup`, `removeCgroup`, `cgroupProcesses`, `freezeCgroup`, `cgroupStats`.
 *
 * Read in this order: plan.ts, host.ts, plan-cgroup.ts, limits.ts, device-rules.ts, device-program.ts, create.ts.
 */
export { detectCgroups, readCgroupHost, type CgroupHost, type CgroupTexts, type Hierarchy } from './host.ts';
export type { CgroupPlan, CgroupWrite } from './plan.ts';
export { defaultCgroupParent, locateCgroup, locateFreezer, type CgroupPlace } from './locate.ts';
export { planCgroup, type CgroupRequest } from './plan-cgroup.ts';
export { createCgroup } from './create.ts';
export { createParentCgroup } from './create-parent.ts';
export { killCgroup, type KillOptions } from './kill.ts';
export { removeCgroup } from './remove.ts';
export { cgroupProcesses } from './members.ts';
export { freezeCgroup, isCgroupFrozen, thawCgroup, type FreezeOptions } from './freeze.ts';
export { updateCgroup } from './update.ts';
export { cgroupStats, type CgroupStats, cgroupUsage, type CgroupUsage } from './stats.ts';
