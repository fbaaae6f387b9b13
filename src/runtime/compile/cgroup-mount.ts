import { planConstants } from '../../sys/plan/schema.ts';
import type { Draft } from './draft.ts';
import { type MountOptions, mountAttr } from './mount-options.ts';
import type { Namespaces } from './namespaces.ts';
import type { ContainerCgroup } from './types.ts';

const { MOUNT_NOFOLLOW, KIND_DIRECTORY } = planConstants;

const MS_PRIVATE = 0x40000;
/** Nothing on a cgroup file system is a program, a device or set-uid. */
const FIXED = mountAttr.NOSUID | mountAttr.NODEV | mountAttr.NOEXEC;

/**
 * A mount of type "cgroup".
 *
 * Pure v2: one cgroup2 mount. v1 and hybrid: a tmpfs with one mount per hierarchy the container is in, named as on the host, and links for
 * the single controllers of a joint one ("cpu" to "cpu,cpuacct"). With a cgroup namespace of its own the container sees itself as the root of
 * each; with the host's it gets v1 directories of its own cgroup only, and on v2 never a writable tree when it is in a user namespace
 * (CVE-2023-25809). Without a cgroup there is an empty read-only directory.
 */
export function compileCgroupMount(
  draft: Draft,
  target: string,
  options: MountOptions,
  cgroup: ContainerCgroup,
  namespaces: Namespaces,
): void {
  const shared = !namespaces.has('cgroup');
  const readOnly = (options.set & mountAttr.RDONLY) !== 0 || (shared && namespaces.has('user'));
  const attrs = FIXED | options.set | (readOnly ? mountAttr.RDONLY : 0);
  const propagation = options.propagation;
  const mount = (type: string, options: readonly string[], at: string, attributes: number): void =>
    draft.add({
      op: 'mountFs',
      type,
      source: type,
      options,
      attrs: attributes,
      target: at,
      mkdir: 0o755,
      flags: MOUNT_NOFOLLOW,
      propagation,
    });

  if (cgroup.tasks.length === 0 && cgroup.unified !== undefined) {
    mount('cgroup2', [], target, attrs);
    return;
  }
  const hierarchies = cgroup.tasks.map((tasks) => ({
    name: tasks.slice(0, tasks.indexOf('/')),
    directory: tasks.slice(0, tasks.lastIndexOf('/')),
  }));
  mount('tmpfs', ['mode=755', 'size=64k'], target, FIXED);
  for (const { name } of hierarchies) {
    draft.add({ op: 'mkdir', target: `${target}/${name}`, mode: 0o755, uid: 0, gid: 0 });
    if (name.includes(','))
      for (const controller of name.split(','))
        draft.add({ op: 'symlink', target: `${target}/${controller}`, to: name });
  }
  // Before the hierarchies are mounted on it: it binds what is below as well.
  if (readOnly) draft.add({ op: 'readonlyPath', target });
  for (const { name, directory } of hierarchies) {
    const at = `${target}/${name}`;
    if (shared) {
      const fd = draft.fd({ kind: 'tree', source: `${cgroup.root}/${directory}`, recursive: false });
      draft.add({
        op: 'mountFd',
        fd,
        target: at,
        set: attrs,
        clear: 0,
        recursive: 0,
        propagation: MS_PRIVATE,
        kind: KIND_DIRECTORY,
        flags: MOUNT_NOFOLLOW,
      });
    } else {
      mount('cgroup', hierarchyOptions(name), at, attrs);
    }
  }
}

/** Which v1 hierarchy to mount: its controllers, or its name. A directory name is all the plan has: systemd's is the one without controllers. */
function hierarchyOptions(name: string): string[] {
  if (name === 'systemd') return ['name=systemd'];
  return name.startsWith('name=') ? [name] : name.split(',');
}
