import type { LinuxResources } from '../../spec/runtime-config.ts';
import { sliceProperties } from './slice-properties.ts';
import { unitExists } from './start-scope.ts';
import { type ManagerAddress, SystemdManager } from './systemd-manager.ts';

/** What a slice is made with. */
export interface SliceRequest extends ManagerAddress {
  /** "machine-tare_pod_ID.slice": within machine.slice. */
  readonly unit: string;
  readonly description: string;
  readonly resources: LinuxResources;
}

/**
 * Has systemd make a slice, or sees that its limits are in force in the one that is there. It stays until it is stopped. Returns warnings: limits that systemd has no words for.
 *
 * Errors: DBusError for what systemd refuses; failed-precondition when it could not be started; unavailable, deadline.
 */
export async function startSlice(request: SliceRequest): Promise<readonly string[]> {
  const { unit, description } = request;
  const { properties, warnings } = sliceProperties(request.resources);
  using systemd = await SystemdManager.open(request);
  try {
    await systemd.finished(
      unit,
      await systemd.startTransient(unit, [['Description', 's', description], ...properties]),
    );
  } catch (error) {
    if (!unitExists(error)) throw error;
    if (properties.length > 0) await systemd.setProperties(unit, properties);
  }
  return warnings;
}
