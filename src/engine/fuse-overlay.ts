import { mkdirSync, mkdtempSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TareError } from '../base/errors.ts';
import type { OverlayMount } from '../spec/mount.ts';
import { isErrno } from '../sys/error.ts';
import { fsconfigCreate, fsopen } from '../sys/mount.ts';
import { mountDetached } from '../sys/mount-detached.ts';
import { mountFuseOverlay, type ServedMount } from '../sys/mount-fuse.ts';
import { removeTreeSync } from '../sys/remove-tree.ts';
import type { Engine } from './engine.ts';
import { findProgram } from './find-program.ts';
import type { MountedFor } from './mount-rootfs.ts';
import { containerDir } from './record.ts';
import { useFuseLayers } from './source-host.ts';

export const FUSE_OVERLAYFS = 'fuse-overlayfs';
const INSTALL = `install ${FUSE_OVERLAYFS} (Debian: apt-get install ${FUSE_OVERLAYFS})`;

/** The program that mounts where the kernel does not: as storage.conf says, or where it is installed. */
export function fuseProgram({ mountProgram, env }: Pick<Engine, 'mountProgram' | 'env'>): string | undefined {
  return mountProgram ?? findProgram(FUSE_OVERLAYFS, env['PATH']);
}

/** Mounts layers that are for fuse-overlayfs. Errors: unsupported without it, and for what it cannot do; those of `mountFuseOverlay`. */
export async function mountByFuse(engine: Engine, mount: OverlayMount): Promise<ServedMount> {
  const program = fuseProgram(engine);
  if (program === undefined)
    throw new TareError(
      'unsupported',
      `Cannot mount overlay: the layers in ${dirname(dirname(mount.upper ?? ''))} are for ${FUSE_OVERLAYFS}, which is not installed; ${INSTALL}`,
    );
  if (mount.ids !== undefined)
    throw new TareError(
      'unsupported',
      `Cannot mount overlay: ${FUSE_OVERLAYFS} cannot show files with other owners, as this container has them; create it anew, which copies them, or without --userns`,
    );
  return await mountFuseOverlay(mount, program);
}

/**
 * Mounts with fuse-overlayfs what the kernel refused with `refusal`, if it refuses any overlay there. From then on those layers are for fuse-overlayfs: the kernel does not understand all that it writes.
 *
 * Errors: `refusal` in the words of what to do.
 */
export async function mountInstead(
  engine: Engine,
  mount: OverlayMount,
  container: MountedFor,
  refusal: unknown,
): Promise<ServedMount> {
  if (!(refusal instanceof TareError) || mount.upper === undefined) throw refusal;
  if (!refusesOverlays(dirname(mount.upper), mount.options)) throw explained(refusal, mount, '');
  const program = fuseProgram(engine);
  if (container.source.kind === 'host')
    throw explained(refusal, mount, `; ${FUSE_OVERLAYFS} is used for images and rootfs:DIR:O, not for host:`);
  if (mount.ids !== undefined)
    throw explained(refusal, mount, `; ${FUSE_OVERLAYFS} cannot show files with other owners`);
  if (program === undefined) throw explained(refusal, mount, `, or ${INSTALL}`);
  using stack = new DisposableStack();
  const served = stack.use(await mountFuseOverlay(mount, program));
  // Before anything is written through it.
  if (container.source.kind === 'image') (await engine.openStore()).useFuse();
  else useFuseLayers(containerDir(engine, container.id));
  stack.move();
  return served;
}

/** Whether fuse-overlayfs has to do what the kernel does not, in a directory of a new image store. */
export function needsFuse(engine: Pick<Engine, 'mountProgram' | 'env' | 'overlayOptions'>, dir: string): boolean {
  return refusesOverlays(dir, engine.overlayOptions) && fuseProgram(engine) !== undefined;
}

/** Whether the kernel refuses every overlay that has its writable layer in `dir`. False where we may mount nothing at all, and where we may not write. */
function refusesOverlays(dir: string, options: readonly string[]): boolean {
  let place: string | undefined;
  try {
    place = mkdtempSync(join(dir, '.overlay-'));
    const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(place ?? '', name)) as [
      string,
      string,
      string,
    ];
    for (const path of [lower, upper, work]) mkdirSync(path);
    mountDetached({
      kind: 'overlay',
      lowers: [lower],
      upper,
      work,
      options: options.filter((option) => option !== 'volatile'),
    }).close();
    return false;
  } catch (error) {
    // Not what passes: no memory, too many open files.
    return place !== undefined && isErrno(error, 'EINVAL', 'EPERM', 'ENODEV', 'EOPNOTSUPP') && mayMount();
  } finally {
    if (place !== undefined) removeTreeSync(place);
  }
}

function mayMount(): boolean {
  try {
    using context = fsopen('tmpfs');
    fsconfigCreate(context);
    return true;
  } catch {
    return false;
  }
}

function explained(cause: TareError, mount: OverlayMount, more: string): TareError {
  if (cause.kind === 'denied' && mount.options.includes('userxattr'))
    return new TareError(
      'unsupported',
      `Cannot mount overlay: this kernel does not let unprivileged users (Linux 5.11 and newer do); run as root${more}`,
      { cause },
    );
  return new TareError(
    cause.kind,
    `${cause.message} (the writable layer is ${mount.upper ?? 'absent'}; its file system must be able to carry one: choose another --root${more})`,
    { cause },
  );
}
