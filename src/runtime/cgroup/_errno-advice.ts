import type { ErrorKind } from '../../base/errors.ts';

/** What an errno means for a cgroup file, and what to do. */
export const errnoAdvice: Readonly<Record<string, readonly [kind: ErrorKind, advice: string]>> = {
  EINVAL: ['invalid', 'the kernel takes no such value here'],
  ERANGE: ['invalid', 'the value is outside what this machine has'],
  EACCES: ['denied', 'run as root, or choose a cgroup parent that is delegated to this user and offers the controller'],
  EPERM: ['denied', 'the cgroup above does not allow as much'],
  EROFS: ['denied', 'the cgroup file system is mounted read-only'],
  ENOENT: ['unsupported', 'this kernel, or the cgroup above, does not offer it'],
  ENODEV: ['not-found', 'there is no such device on this machine'],
  EOPNOTSUPP: ['unsupported', 'this kernel does not support it'],
  EBUSY: ['failed-precondition', 'the cgroup is in use'],
  ENOSPC: ['exhausted', 'the machine allows no more cgroups, or the CPUs are given away exclusively'],
  ENOMEM: ['exhausted', 'the kernel is out of memory or cgroup ids'],
  EAGAIN: ['exhausted', 'cgroup.max.descendants or cgroup.max.depth of a cgroup above is reached'],
};
