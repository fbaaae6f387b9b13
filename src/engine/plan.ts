import type { CompiledPlan } from '../runtime/compile/mod.ts';
import { encodePlan } from '../sys/plan/encode.ts';
import { printPlan } from '../sys/plan/print.ts';
import { containerCgroupPlan } from './cgroup-plan.ts';
import type { Engine } from './engine.ts';
import { compilerOf, planOptions } from './launch.ts';
import { resolveContainer } from './names.ts';
import { seccompFilter } from './seccomp.ts';
import { isOpenedAtStart, readConfig, readRecord } from './record.ts';

/** The Plan a container would be started with, as readable system calls. Errors: not-found; those of `compile`. */
export async function printContainerPlan(engine: Engine, nameOrId: string): Promise<string> {
  const compiled = await compileContainer(engine, resolveContainer(engine, nameOrId));
  return printPlan(encodePlan(compiled.ops, compiled.fds.length));
}

/** That Plan. Errors: as `printContainerPlan`. */
export async function compileContainer(engine: Engine, id: string): Promise<CompiledPlan> {
  const record = readRecord(engine, id);
  const written = readConfig(engine, id);
  const networked =
    record.net === undefined
      ? written
      : (await import('./join-networks.ts')).inNamespaces(written, {
          network: '/proc/self/ns/net',
          // Both are made for it, unless the network is another's.
          ...(record.net.of === undefined ? { user: '/proc/self/ns/user' } : {}),
        });
  const config =
    record.pod === undefined ? networked : (await import('./pods/join-pod.ts')).asInPod(engine, record.pod, networked);
  using opened = record.mounts?.some(isOpenedAtStart)
    ? await (await import('./volumes/open-mounts.ts')).openMounts(engine, record)
    : undefined;
  const cgroup = containerCgroupPlan(engine, record, config.linux?.resources);
  return (await compilerOf(record))(
    config,
    planOptions(engine, record, cgroup, { owner: false, config, opened, seccomp: await seccompFilter(engine, config) }),
  );
}
