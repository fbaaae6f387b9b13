import {
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
} from './mount.ts';

/** Options that belong to the mount and not to the file system; 0: the default anyway. */
const attributes: Readonly<Record<string, number>> = {
  ro: MOUNT_ATTR_RDONLY,
  nosuid: MOUNT_ATTR_NOSUID,
  nodev: MOUNT_ATTR_NODEV,
  noexec: MOUNT_ATTR_NOEXEC,
  noatime: MOUNT_ATTR_NOATIME,
  nodiratime: MOUNT_ATTR_NODIRATIME,
  rw: 0,
  suid: 0,
  dev: 0,
  exec: 0,
  relatime: 0,
};

/** Splits options of a Mount into mount attributes and file system parameters. */
export function splitOptions(options: readonly string[]): { attributes: number; parameters: string[] } {
  let bits = 0;
  const parameters: string[] = [];
  for (const option of options) {
    const attribute = attributes[option];
    if (attribute === undefined) parameters.push(option);
    else bits |= attribute;
  }
  return { attributes: bits, parameters };
}
