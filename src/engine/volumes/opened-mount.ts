import { bytesOf } from '../../archive/byte-string.ts';
import { messageOf } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import type { TreeMount } from '../file-tree.ts';
import type { ContainerRecord, RecordedMount } from '../record.ts';
import { localOptions } from './local-options.ts';
import { openOne } from './open-mounts.ts';
import { findVolume } from './volume.ts';

/** A mount that has no path on the machine, as who copies from or to a container that does not run meets it. What cannot be opened now says why. */
export async function openedMount(
  engine: Engine,
  record: ContainerRecord,
  mount: RecordedMount,
  stack: DisposableStack,
): Promise<TreeMount> {
  const path = bytesOf(mount.destination);
  const readOnly = mount.type === 'image' ? mount.writable !== true : mount.type === 'volume' && mount.readOnly;
  const unusable = (why: string): TreeMount => ({ path, root: undefined, readOnly, why });
  try {
    if (mount.type === 'volume' && localOptions(findVolume(engine, mount.name)?.options ?? {}).type === 'tmpfs')
      return unusable('a tmpfs is there while the container runs, and it does not run');
    return { path, root: stack.use(await openOne(engine, record, mount)), readOnly };
  } catch (error) {
    return unusable(messageOf(error));
  }
}
