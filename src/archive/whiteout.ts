import { TareError } from '../base/errors.ts';
import { baseName, type ByteString, dirName } from './byte-string.ts';

/** What an entry of a layer means for the layers below it (OCI image spec, layer.md, "Whiteouts"). */
export type Whiteout =
  /** `path` of lower layers is gone. */
  | { readonly kind: 'whiteout'; readonly path: ByteString }
  /** All that lower layers have in directory `path` is gone. */
  | { readonly kind: 'opaque'; readonly path: ByteString }
  /** Book-keeping of aufs in images of its time, and whatever is beneath a name of a whiteout: of no meaning. */
  | { readonly kind: 'reserved'; readonly path: ByteString };

/** In a directory that hides what lower layers have in it, as fuse-overlayfs writes it. */
export const OPAQUE_FILE = '.wh..wh..opq';

/** What a directory has (`y`) that hides what lower layers have in it: of the kernel's overlayfs, of that in a user namespace, of fuse-overlayfs. */
export const OPAQUE_XATTRS: readonly string[] = [
  'trusted.overlay.opaque',
  'user.overlay.opaque',
  'user.fuseoverlayfs.opaque',
];

/** What a file of a fuse-overlayfs layer removes by its name; '' for its other book-keeping, undefined for an ordinary name. */
export function whiteoutFile(name: ByteString): ByteString | undefined {
  if (!name.startsWith('.wh.')) return undefined;
  return name.startsWith('.wh..wh.') || name === '.wh..opq' ? '' : name.slice(4);
}

/** An extended attribute that means something to overlayfs or fuse-overlayfs: an image sets none, a copy of files has none. */
export function isOverlayXattr(name: string): boolean {
  return /^(?:trusted\.overlay|user\.overlay|(?:user|security)\.fuseoverlayfs|user\.containers)\./.test(name);
}

/**
 * Reads the meaning out of a clean path. Undefined: an ordinary entry.
 *
 * Errors: `invalid` for a whiteout of nothing (`.wh.`), of `.` or of `..`.
 */
export function whiteoutOf(path: ByteString): Whiteout | undefined {
  if (!path.includes('.wh.')) return undefined;
  const start = path.lastIndexOf('/') + 1;
  if (path.startsWith('.wh.') && start > 0) return { kind: 'reserved', path };
  const inside = path.indexOf('/.wh.');
  if (inside >= 0 && inside + 1 < start) return { kind: 'reserved', path };
  if (!path.startsWith('.wh.', start)) return undefined;
  const name = baseName(path).slice(4);
  const parent = dirName(path);
  if (name === '.wh..opq') return { kind: 'opaque', path: parent };
  if (name.startsWith('.wh.')) return { kind: 'reserved', path };
  if (name === '' || name === '.' || name === '..') {
    throw new TareError('invalid', `Cannot use layer entry ${JSON.stringify(path)}: it names no file to remove`);
  }
  return { kind: 'whiteout', path: parent === '' ? name : `${parent}/${name}` };
}
