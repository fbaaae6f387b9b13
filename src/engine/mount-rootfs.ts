import { TareError } from '../base/errors.ts';
import type { Mount } from '../spec/mount.ts';
import type { Fd } from '../sys/fd.ts';
import { mountDetached } from '../sys/mount-detached.ts';

/** The root file system, detached. Errors: by what the kernel says, with what to do. */
export function mountRootfs(mount: Mount): Fd {
  try {
    return mountDetached(mount);
  } catch (cause) {
    if (!(cause instanceof TareError) || mount.kind !== 'overlay') throw cause;
    if (cause.kind === 'denied' && mount.options.includes('userxattr')) {
      throw new TareError(
        'unsupported',
        'Cannot mount overlay: this kernel does not let unprivileged users (Linux 5.11 and newer do); run as root',
        { cause },
      );
    }
    throw new TareError(
      cause.kind,
      `${cause.message} (the writable layer is ${mount.upper ?? 'absent'}; its file system must be able to carry one: choose another --root)`,
      { cause },
    );
  }
}
