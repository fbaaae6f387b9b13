import type { IdMapping } from './runtime-types.ts';

/**
 * How a root file system is put together: the only record `storage` and `runtime` share.
 *
 * Paths are absolute host paths of Tare's own making (never taken from an image).
 */
export type Mount = OverlayMount | BindMount;

export interface OverlayMount {
  readonly kind: 'overlay';
  /** Nearest first, as in overlayfs's `lowerdir`. At least one. */
  readonly lowers: readonly string[];
  /** Absent: a read-only union (then at least two lowers, or use a bind). */
  readonly upper?: string;
  readonly work?: string;
  /** Further overlayfs options: `volatile`, `userxattr`, `metacopy=on`, ... */
  readonly options: readonly string[];
  /** Some layer has marks (`.wh.` files) that fuse-overlayfs reads and the kernel does not: it mounts it, always. */
  readonly fuse?: boolean;
  /** The lowers are seen with other owners. The upper layer has them as it is. */
  readonly ids?: MountIds & {
    /** What all lowers lie below, with nothing mounted between: one mount then serves them all. */
    readonly base?: string;
  };
}

/** A plain directory; its sub-mounts come along when `recursive`. */
export interface BindMount {
  readonly kind: 'bind';
  readonly source: string;
  readonly readOnly: boolean;
  readonly recursive: boolean;
  readonly ids?: MountIds;
}

/** Who is who in an id-mapped mount: `containerID` is the owner on the disk, `hostID` whom the mount shows. */
export interface MountIds {
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
}
