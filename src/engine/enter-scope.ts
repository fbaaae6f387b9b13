import type { ComingMonitor } from '../runtime/launch.ts';
import type { ScopePlace } from '../runtime/cgroup/scope-path.ts';
import { startScope } from '../runtime/cgroup/start-scope.ts';
import { findSystemd } from './cgroup-manager.ts';
import { cgroupHost } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { toLaunchError } from './launch-error.ts';
import type { ContainerRecord } from './record.ts';

/** The monitor's own grace period runs out first: systemd kills what is left. */
const MARGIN_MS = 5000;

/** Has systemd make the scope of a container that starts, with its monitor in it. When the start fails later, the monitor's end is the scope's. Errors: LaunchError. */
export async function enterScope(
  engine: Engine,
  record: ContainerRecord,
  scope: ScopePlace,
  monitor: ComingMonitor,
): Promise<void> {
  const host = cgroupHost();
  try {
    const { socket } = findSystemd(engine.rootless, host);
    await startScope({
      ...scope,
      socket,
      uid: engine.uid,
      root: host.root,
      description: `Tare container ${record.name}`,
      pid: monitor.pid(),
      stopTimeoutMs: record.stopTimeoutMs + MARGIN_MS,
    });
  } catch (error) {
    throw toLaunchError(error, []);
  }
}
