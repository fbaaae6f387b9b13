import type { ScopePlace } from '../runtime/cgroup/scope-path.ts';
import { stopUnit } from '../runtime/cgroup/systemd-manager.ts';
import { findSystemd } from './cgroup-manager.ts';
import { cgroupFiles, cgroupHost } from './cgroups.ts';
import type { Engine } from './engine.ts';

/**
 * Ends the scope of a container that is being removed, if it is still there and nobody is in it: systemd misses the end of a process that dies while its scope is being made (seen with version 252), and would
 * keep the unit for good. Best effort.
 */
export async function endScope(engine: Engine, scope: ScopePlace): Promise<void> {
  const host = cgroupHost();
  if (!/^populated 0$/m.test(cgroupFiles.read(`${host.root}${scope.path}/cgroup.events`))) return;
  await endUnit(engine, scope.unit);
}

/** Has systemd end a unit that it may still have. Best effort. */
export async function endUnit(engine: Engine, unit: string): Promise<void> {
  try {
    const { socket } = findSystemd(engine.rootless, cgroupHost());
    await stopUnit({ socket, uid: engine.uid }, unit);
  } catch {
    // It ended meanwhile, or systemd cannot be reached.
  }
}
