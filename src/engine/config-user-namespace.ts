import { TareError } from '../base/errors.ts';
import type { Mount, RuntimeConfig } from '../spec/runtime-config.ts';
import { mappedIds } from './rootless.ts';

/**
 * A configuration as an unprivileged user's namespace can carry it out: sysfs of a network namespace that is not ours is bound instead of mounted, ids that are not mapped cannot own a file system.
 *
 * Errors: unsupported for a user or group that is not mapped.
 */
export function inUserNamespace(
  config: RuntimeConfig,
  mapped: { readonly uids: number; readonly gids: number } = { uids: mappedIds('uid'), gids: mappedIds('gid') },
): RuntimeConfig {
  const user = config.process?.user;
  if (user !== undefined) {
    check('user', user.uid, mapped.uids);
    for (const gid of [user.gid, ...(user.additionalGids ?? [])]) check('group', gid, mapped.gids);
  }
  const hostNetwork = config.linux?.namespaces?.every(({ type }) => type !== 'network') === true;
  const mounts = config.mounts?.map((mount): Mount => {
    if (mount.type === 'sysfs' && hostNetwork)
      return {
        ...mount,
        type: 'bind',
        source: '/sys',
        options: ['rbind', 'rro', 'nosuid', 'noexec', 'nodev', 'rslave'],
      };
    if (mount.type !== 'devpts' || mount.options === undefined) return mount;
    return {
      ...mount,
      options: mount.options.filter((option) => Number(/^gid=(\d+)$/.exec(option)?.[1] ?? 0) < mapped.gids),
    };
  });
  return { ...config, ...(mounts === undefined ? {} : { mounts }) };
}

function check(kind: string, id: number, count: number): void {
  if (id < count) return;
  throw new TareError(
    'unsupported',
    `Cannot run as ${kind} ${id}: this user has ${count} ${kind} ${count === 1 ? 'id' : 'ids'} (0 to ${count - 1} in containers); give it more in /etc/sub${kind === 'user' ? 'uid' : 'gid'} and run tare system migrate`,
  );
}
