import { TareError } from '../base/errors.ts';
import type { IdMapping } from '../spec/runtime-config.ts';

/** 2^32 - 1 is no id: system calls mean "leave it as it is" by it. */
const END_OF_IDS = 0xffff_ffff;
/** Lines of /proc/PID/uid_map (user_namespaces(7)). */
export const MAX_MAPPINGS = 340;

/** Parses `CONTAINER:HOST[:LENGTH]`; one id without a length. Errors: invalid. */
export function parseIdMap(flag: string, text: string): IdMapping {
  const match = /^(\d{1,10}):(\d{1,10})(?::(\d{1,10}))?$/.exec(text);
  const mapping = { containerID: Number(match?.[1]), hostID: Number(match?.[2]), size: Number(match?.[3] ?? 1) };
  const { containerID, hostID, size } = mapping;
  if (match === null)
    throw new TareError('invalid', `Cannot use ${flag} ${text}: expected CONTAINER:HOST:LENGTH, three numbers`);
  if (size === 0 || containerID + size > END_OF_IDS || hostID + size > END_OF_IDS)
    throw new TareError('invalid', `Cannot use ${flag} ${text}: ids go from 0 to ${END_OF_IDS - 1}`);
  return mapping;
}

/** Whether the kernel and we can use these maps. `hosts`: how many ids an unprivileged user has, from 0 on. Errors: invalid. */
export function checkIdMaps(kind: 'uid' | 'gid', mappings: readonly IdMapping[], hosts?: number): void {
  const problem = (why: string): TareError => new TareError('invalid', `Cannot use these ${kind} maps: ${why}`);
  if (mappings.length > MAX_MAPPINGS)
    throw problem(`${mappings.length} are too many, the kernel takes ${MAX_MAPPINGS}`);
  if (!mappings.some(({ containerID }) => containerID === 0)) throw problem('container id 0 must be somebody');
  for (const key of ['containerID', 'hostID'] as const) {
    const sorted = mappings.toSorted((a, b) => a[key] - b[key]);
    sorted.forEach((mapping, index) => {
      const before = sorted[index - 1];
      if (before !== undefined && before[key] + before.size > mapping[key])
        throw problem(`${key === 'hostID' ? 'host' : 'container'} id ${mapping[key]} is in two of them`);
    });
  }
  const beyond = hosts === undefined ? undefined : mappings.find(({ hostID, size }) => hostID + size > hosts);
  if (beyond !== undefined)
    throw problem(
      `host id ${Math.max(beyond.hostID, hosts ?? 0)} is not yours; you have 0 (yourself) to ${(hosts ?? 1) - 1} (your sub-ids)`,
    );
}
