import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { planCgroup } from '../runtime/cgroup/mod.ts';
import { usableCgroups } from './cgroups.ts';
import type { Engine } from './engine.ts';

/** Where containers' cgroups are when nobody says where; with systemd's scopes the resolver is here, too: it is of no container. */
const STANDARD_PARENT = '/tare';

/** The cgroup files that the resolver of names enters when it starts: those of the monitors. None where we may not make them. */
export function resolverCgroupFiles(engine: Pick<Engine, 'cgroups' | 'rootless'>): string[] {
  const { manager, parent } = engine.cgroups;
  const cgroupPath = `${manager === 'systemd' ? STANDARD_PARENT : parent}/resolver`;
  const { root, leave } = planCgroup(usableCgroups(engine, cgroupPath), { cgroupPath, resources: {} });
  const files = leave.map((file) => join(root, file));
  try {
    for (const file of files) mkdirSync(dirname(file), { recursive: true });
    return files;
  } catch {
    return [];
  }
}
