import { TareError } from '../base/errors.ts';
import type { Mount, RuntimeConfig } from '../spec/runtime-config.ts';
import { mappedIds } from './rootless.ts';
import { outsideId, type UserNamespace } from './user-namespace.ts';

/**
 * A configuration as a user namespace can carry it out, an unprivileged user's or the container's own: sysfs of a network namespace that is not ours is bound instead of mounted, ids that are not mapped cannot own a file system.
 *
 * Errors: unsupported for a user or group that is not mapped.
 */
export function inUserNamespace(
  config: RuntimeConfig,
  {
    own,
    sharesNetwork = false,
    mapped = { uids: mappedIds('uid'), gids: mappedIds('gid') },
  }: {
    readonly own?: UserNamespace | undefined;
    /** Its network namespace is another's. */
    readonly sharesNetwork?: boolean;
    readonly mapped?: { readonly uids: number; readonly gids: number };
  } = {},
): RuntimeConfig {
  const hasGroup = (gid: number): boolean =>
    own === undefined ? gid < mapped.gids : outsideId(own.gidMappings, gid) !== undefined;
  const user = config.process?.user;
  if (user !== undefined) {
    const hasUser = own === undefined ? user.uid < mapped.uids : outsideId(own.uidMappings, user.uid) !== undefined;
    if (!hasUser) throw absent('user', user.uid, mapped.uids, own);
    for (const gid of [user.gid, ...(user.additionalGids ?? [])])
      if (!hasGroup(gid)) throw absent('group', gid, mapped.gids, own);
  }
  const foreignNetwork =
    (own !== undefined && sharesNetwork) || config.linux?.namespaces?.every(({ type }) => type !== 'network') === true;
  const mounts = config.mounts?.map((mount): Mount => {
    if (mount.type === 'sysfs' && foreignNetwork)
      return {
        ...mount,
        type: 'bind',
        source: '/sys',
        options: ['rbind', 'rro', 'nosuid', 'noexec', 'nodev', 'rslave'],
      };
    if (mount.type !== 'devpts' || mount.options === undefined) return mount;
    return {
      ...mount,
      options: mount.options.filter((option) => !option.startsWith('gid=') || hasGroup(Number(option.slice(4)))),
    };
  });
  return {
    ...config,
    ...(mounts === undefined ? {} : { mounts }),
    ...(own === undefined
      ? {}
      : {
          linux: {
            ...config.linux,
            namespaces: [...(config.linux?.namespaces ?? []), { type: 'user' }],
            uidMappings: own.uidMappings,
            gidMappings: own.gidMappings,
          },
        }),
  };
}

function absent(kind: string, id: number, count: number, own: UserNamespace | undefined): TareError {
  if (own !== undefined)
    return new TareError(
      'unsupported',
      `Cannot run as ${kind} ${id}: the container's user namespace has no such id; give it more (--userns auto:size=${id + 1}, or --${kind === 'user' ? 'u' : 'g'}idmap)`,
    );
  return new TareError(
    'unsupported',
    `Cannot run as ${kind} ${id}: this user has ${count} ${kind} ${count === 1 ? 'id' : 'ids'} (0 to ${count - 1} in containers); give it more in /etc/sub${kind === 'user' ? 'uid' : 'gid'} and run tare system migrate`,
  );
}
