import { TareError } from '../../base/errors.ts';
import type { Fd } from '../../sys/fd.ts';
import { mountDetached } from '../../sys/mount-detached.ts';
import { openDirectory } from '../../sys/open.ts';
import { insideIds } from '../container-ids.ts';
import type { MountRequest } from '../create-options.ts';
import type { Engine } from '../engine.ts';
import { outsideId, type UserNamespace } from '../user-namespace.ts';
import { resolveUser } from '../users.ts';
import { chownTree } from './chown-tree.ts';
import { copyUp } from './copy-up.ts';
import type { TakeInput } from './take-mounts.ts';
import { DATA, isPlain, volumePath, type VolumeRecord } from './volume.ts';

/** The kernel shows the files of a container with its own ids: volumes, too, where their file system can. */
export function showsOwners(engine: Engine, { namespace, mapped }: TakeInput, name: string): boolean {
  if (namespace === undefined || !mapped) return false;
  const source = volumePath(engine, name, DATA);
  try {
    mountDetached({ kind: 'bind', source, readOnly: false, recursive: false, ids: namespace }).close();
    return true;
  } catch {
    return false;
  }
}

/** Fills a fresh volume with what the image has at its place, and gives it to the container's user where that is asked for. Errors: those of `copyUp`; unsupported. */
export async function prepareContents(
  engine: Engine,
  input: TakeInput,
  request: Extract<MountRequest, { type: 'volume' }>,
  volume: VolumeRecord,
  idmap: boolean,
): Promise<void> {
  const { prepared, namespace, signal } = input;
  if (!isPlain(volume)) {
    if (request.chown === true)
      throw new TareError(
        'unsupported',
        `Cannot use option U for volume ${volume.name}: something is mounted for it at each start; say uid= and gid= in its -o o=`,
      );
    return;
  }
  const hasImage = prepared.source.kind === 'image' || prepared.source.kind === 'rootfs';
  const ids =
    namespace !== undefined && idmap
      ? insideIds({ linux: { uidMappings: namespace.uidMappings, gidMappings: namespace.gidMappings } })
      : undefined;
  if (hasImage && request.noCopy !== true && request.subpath === undefined)
    await copyUp(engine, volume.name, {
      rootfs: input.rootfs,
      path: request.destination,
      devices: engine.rootless === undefined,
      durable: volume.ephemeral !== true,
      ...(ids === undefined ? {} : { ids }),
      ...(signal === undefined ? {} : { signal }),
    });
  if (request.chown !== true) return;
  using data = openDirectory(volumePath(engine, volume.name, DATA));
  giveAway(input, data, idmap);
}

/** To the container's user, as the disk or the machine knows it. */
export function giveAway({ options, prepared, rootfs, namespace }: TakeInput, dir: Fd, idmap: boolean): void {
  const image = prepared.imageConfig?.process.user;
  const ofImage =
    image === undefined ? '' : image.group === undefined ? `${image.user}` : `${image.user}:${image.group}`;
  const { uid, gid } = resolveUser(rootfs, options.user ?? namespace?.user ?? ofImage, []);
  const outside = (id: number, map: UserNamespace['uidMappings'] | undefined): number =>
    map === undefined || idmap ? id : (outsideId(map, id) ?? id);
  chownTree(dir, outside(uid, namespace?.uidMappings), outside(gid, namespace?.gidMappings));
}
