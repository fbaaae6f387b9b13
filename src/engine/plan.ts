import { compile } from '../runtime/compile/mod.ts';
import { encodePlan } from '../sys/plan/encode.ts';
import { printPlan } from '../sys/plan/print.ts';
import { containerCgroupPlan } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { planOptions } from './launch.ts';
import { resolveContainer } from './names.ts';
import { seccompFilter } from './seccomp.ts';
import { readConfig, readRecord } from './record.ts';

/** The Plan a container would be started with, as readable system calls. Errors: not-found; those of `compile`. */
export async function printContainerPlan(engine: Engine, nameOrId: string): Promise<string> {
  const id = resolveContainer(engine, nameOrId);
  const record = readRecord(engine, id);
  const config = readConfig(engine, id);
  const cgroup = containerCgroupPlan(engine, record.cgroupPath, config.linux?.resources);
  const compiled = compile(
    config,
    planOptions(engine, record, cgroup, { owner: false, config, seccomp: await seccompFilter(engine, config) }),
  );
  return printPlan(encodePlan(compiled.ops, compiled.fds.length));
}
