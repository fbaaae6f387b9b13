import { TareError } from '../base/errors.ts';
import type { IdChange } from '../archive/mod.ts';
import type { RuntimeConfig } from '../spec/runtime-config.ts';
import { insideId, outsideId } from './user-namespace.ts';

/**
 * The owners of a container's files as the container knows them: what goes out of it into an archive or an image names its own ids, whoever they are on the machine. Undefined for a container without
 * a user namespace of its own.
 */
export function insideIds(config: Pick<RuntimeConfig, 'linux'> | undefined): IdChange | undefined {
  const { uidMappings, gidMappings } = config?.linux ?? {};
  if (uidMappings === undefined || gidMappings === undefined) return undefined;
  return {
    uid: (uid) => insideId(uidMappings, uid),
    gid: (gid) => insideId(gidMappings, gid),
    xattr: (name, value) => (name === 'security.capability' ? ownCapability(value, outsideId(uidMappings, 0)) : value),
  };
}

/** The other way round, for what is written into it: what an archive says of owners is meant in the container's own ids. Errors of it: failed-precondition for one that the container does not have. */
export function outsideIds(config: RuntimeConfig | undefined): IdChange | undefined {
  const { uidMappings, gidMappings } = config?.linux ?? {};
  if (uidMappings === undefined || gidMappings === undefined) return undefined;
  const absent = (kind: string, id: number): TareError =>
    new TareError(
      'failed-precondition',
      `Cannot write files of ${kind} ${id}: the container's user namespace has no such id`,
    );
  return {
    uid: (uid) => {
      const id = outsideId(uidMappings, uid);
      if (id === undefined) throw absent('user', uid);
      return id;
    },
    gid: (gid) => {
      const id = outsideId(gidMappings, gid);
      if (id === undefined) throw absent('group', gid);
      return id;
    },
  };
}

const REVISION_MASK = 0xff00_0000;
const REVISION_2 = 0x0200_0000;
const REVISION_3 = 0x0300_0000;
const BYTES_2 = 20;
const BYTES_3 = 24;

/** A capability for the root of one namespace (linux/capability.h, vfs_ns_cap_data): in an image it is root's, whoever that will be. */
function ownCapability(value: Buffer, root: number | undefined): Buffer {
  if (value.length !== BYTES_3 || root === undefined) return value;
  const magic = value.readUInt32LE(0);
  if ((magic & REVISION_MASK) >>> 0 !== REVISION_3 || value.readUInt32LE(BYTES_2) !== root) return value;
  const own = Buffer.from(value.subarray(0, BYTES_2));
  own.writeUInt32LE(((magic & ~REVISION_MASK) | REVISION_2) >>> 0, 0);
  return own;
}
