import { posix } from 'node:path';
import type { Propagation } from '../engine/create-options.ts';
import { UsageError } from './usage-error.ts';

export const propagations: ReadonlySet<string> = new Set<Propagation>([
  'private',
  'rprivate',
  'shared',
  'rshared',
  'slave',
  'rslave',
]);

export function isPropagation(text: string): text is Propagation {
  return propagations.has(text);
}

/** Options of the mount itself that pass to the OCI config as they are. */
export const mountOptions: ReadonlySet<string> = new Set([
  'exec',
  'noexec',
  'suid',
  'nosuid',
  'dev',
  'nodev',
  'atime',
  'noatime',
  'relatime',
  'nodiratime',
  'strictatime',
  // Owners as in the container's user namespace.
  'idmap',
  // Read-only with all that is mounted below.
  'rro',
]);

/** SELinux labels, which this machine's files have none of, and words for other machines. */
export const ignoredOptions: ReadonlySet<string> = new Set(['z', 'Z', 'cached', 'delegated', 'consistent']);

/** A clean path in the container. Errors: UsageError. */
export function placeInContainer(shown: string, path: string): string {
  if (!path.startsWith('/')) throw new UsageError(`Cannot use ${shown}: the path in the container must begin with /`);
  const normal = posix.normalize(path).replace(/(?<=.)\/$/, '');
  if (normal === '/') throw new UsageError(`Cannot use ${shown}: the root of the container cannot be a mount`);
  return normal;
}

/** A path in a volume or image. Errors: UsageError. */
export function subpathOf(shown: string, path: string): string {
  if (path === '' || path.startsWith('/') || path.includes('\0') || path.split('/').includes('..'))
    throw new UsageError(`Cannot use ${shown}: subpath ${JSON.stringify(path)} must be relative and without ..`);
  return path;
}

/** The name of a volume. Errors: UsageError. */
export function volumeNameOf(shown: string, name: string): string {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name) && name.length <= 255) return name;
  throw new UsageError(
    `Cannot use ${shown}: ${JSON.stringify(name)} is neither a path (begin it with / or ./) nor a name of a volume ([a-zA-Z0-9][a-zA-Z0-9_.-]*)`,
  );
}
