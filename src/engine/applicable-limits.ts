import { nextCgroups } from './cgroups.ts';
import { enforceable, linuxResources } from './config-resources.ts';
import type { ResourceLimits } from './create-options.ts';
import type { Engine } from './engine.ts';

/** Limits as the OCI config states them, as far as this user can set them; a warning names the others. Errors: invalid combinations. */
export function applicableLimits(
  engine: Engine,
  limits: ResourceLimits,
  defaultPidsLimit: number | undefined,
): ReturnType<typeof enforceable> {
  const resources = linuxResources(limits, defaultPidsLimit);
  if (engine.rootless === undefined) return { resources, warnings: [] };
  const { hierarchies } = nextCgroups(engine);
  return enforceable(resources, new Set(hierarchies.flatMap(({ controllers }) => controllers)));
}
