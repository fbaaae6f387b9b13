import { TareError } from '../../base/errors.ts';
import type { MountRequest } from '../create-options.ts';
import type { Engine } from '../engine.ts';
import { resolveContainer } from '../names.ts';
import { findRecord, type RecordedMount } from '../record.ts';

/**
 * Volumes and bind mounts of other containers, as `--volumes-from CONTAINER[:OPTION,...]` asks for them: what one gives first counts. They are filled already, or never were to be.
 * Errors: not-found; invalid options.
 */
export function mountsFrom(engine: Engine, from: readonly string[]): MountRequest[] {
  const places = new Set<string>();
  const mounts: MountRequest[] = [];
  for (const text of from) {
    const colon = text.indexOf(':');
    const options = colon < 0 ? [] : text.slice(colon + 1).split(',');
    for (const option of options)
      if (!/^(ro|rw|z|Z)$/.test(option))
        throw new TareError(
          'invalid',
          `Cannot use --volumes-from ${text}: unknown option ${option}; there are ro, rw and z`,
        );
    const id = resolveContainer(engine, colon < 0 ? text : text.slice(0, colon));
    const record = findRecord(engine, id);
    // It is being made, or removed; what is given may also be the beginning of the new container's own id.
    if (record === undefined) throw new TareError('not-found', `Cannot use --volumes-from ${text}: no such container`);
    const shown = record.mounts ?? record.created?.mounts ?? [];
    for (const mount of shown) {
      if ((mount.type !== 'bind' && mount.type !== 'volume') || places.has(mount.destination)) continue;
      places.add(mount.destination);
      mounts.push(asked(mount, options.includes('ro')));
    }
  }
  return mounts;
}

function asked(
  mount: Extract<MountRequest | RecordedMount, { type: 'bind' | 'volume' }>,
  readOnly: boolean,
): MountRequest {
  if (mount.type === 'bind') return { ...mount, readOnly: mount.readOnly || readOnly };
  const { anonymous: _a, opened: _o, ...request } = mount as Extract<RecordedMount, { type: 'volume' }>;
  return { ...request, readOnly: mount.readOnly || readOnly };
}
