import type { Machine } from './machine.ts';

/** Something a machine lacks: what, what does not work without it, and what to do. */
export interface Lack {
  readonly what: string;
  readonly effect: string;
  readonly todo: string;
}

const LEAST_KERNEL = [5, 14] as const;
/** Overlayfs in a user namespace. */
const OVERLAY_KERNEL = [5, 11] as const;
const FEW_BYTES = 1024 ** 3;
/** What podman and shadow give a user. */
const ENOUGH_SUB_IDS = 65_536;

/** What a machine lacks, the gravest first. Pure. */
export function lacksOf(machine: Machine): Lack[] {
  return [
    ...kernel(machine),
    ...cgroups(machine),
    ...security(machine),
    ...userNamespaces(machine),
    ...fuse(machine),
    ...storage(machine),
  ];
}

function kernel({ kernel: release, features }: Machine): Lack[] {
  const lacks: Lack[] = [];
  const update = 'run a newer kernel';
  if (isOlder(release, LEAST_KERNEL))
    lacks.push({
      what: `a kernel from ${LEAST_KERNEL.join('.')} up`,
      effect: `this is ${release}, which nobody tests`,
      todo: update,
    });
  if (!features.openat2)
    lacks.push({
      what: 'openat2',
      effect: 'no container can be started safely',
      todo: `${update} (5.6), or allow the system call in the seccomp profile around us`,
    });
  if (!features.overlay)
    lacks.push({
      what: 'overlayfs for this user',
      effect: 'no host: container can be started, and images only with fuse-overlayfs',
      todo: 'load the module (modprobe overlay), or run as root',
    });
  if (!features.mountApi)
    lacks.push({
      what: 'the new mount API (fsopen, move_mount)',
      effect: 'mounts take a slower way',
      todo: `${update} (5.2)`,
    });
  if (!features.idMappedMounts)
    lacks.push({
      what: 'id-mapped mounts',
      effect: 'with a user namespace (--userns) every file of an image is copied',
      todo: `${update} (5.19)`,
    });
  if (!features.cloneIntoCgroup)
    lacks.push({
      what: 'clone3 into a cgroup',
      effect: 'processes enter their cgroup a moment after they began',
      todo: `${update} (5.7)`,
    });
  if (!features.pidfd)
    lacks.push({ what: 'pidfds', effect: 'containers cannot be supervised', todo: `${update} (5.3)` });
  return lacks;
}

function cgroups({ cgroups: { mode, controllers, warnings, managerProblem }, uid, userName }: Machine): Lack[] {
  const lacks: Lack[] = warnings.map((warning) => ({
    what: 'usable cgroups',
    effect: lowerFirst(warning),
    todo: 'mount them writable (mount -t cgroup2 cgroup2 /sys/fs/cgroup)',
  }));
  if (managerProblem !== undefined) {
    const [why = '', ...todo] = managerProblem.split('; ');
    lacks.push({
      what: 'systemd for cgroups',
      effect: `no container can be created: ${why.slice(why.indexOf(': ') + 2)}`,
      todo: todo.join('; '),
    });
  }
  if (uid !== 0 && mode !== 'none' && controllers.length === 0) {
    const todo =
      mode === 'v2'
        ? "let the user's systemd run, which makes scopes for containers (log in anew, or loginctl enable-linger), have cgroups delegated (systemd: Delegate=yes for user@.service), or run as root"
        : "start the machine with cgroup v2 alone (systemd.unified_cgroup_hierarchy=1 on the kernel's command line), or run as root";
    return [
      ...lacks,
      { what: `cgroups of ${userName}'s own`, effect: 'no limits can be set, and containers cannot be paused', todo },
    ];
  }
  for (const [controller, effect] of Object.entries(CONTROLLERS)) {
    const has = controllers.includes(controller) || (mode === 'v2' && controller in INSIDE_V2);
    if (has || mode === 'none') continue;
    lacks.push({
      what: `cgroup controller ${controller}`,
      effect,
      todo:
        mode === 'v2'
          ? `have it delegated (echo +${controller} >cgroup.subtree_control in each parent, or systemd's Delegate=)`
          : `take cgroup_disable=${controller} from the kernel's command line, or mount the controller`,
    });
  }
  return lacks;
}

const CONTROLLERS: Readonly<Record<string, string>> = {
  memory: '--memory and --memory-swap cannot be set',
  pids: '--pids-limit cannot be set: a fork bomb in a container hits the machine',
  cpu: '--cpus and --cpu-shares cannot be set',
  cpuset: '--cpuset-cpus and --cpuset-mems cannot be set',
  devices: 'device rules are not enforced',
  freezer: 'containers cannot be paused',
};
/** What is no controller of cgroup v2, but part of it. */
const INSIDE_V2: Readonly<Record<string, true>> = { devices: true, freezer: true };

function security({ security: { seccomp } }: Machine): Lack[] {
  if (seccomp) return [];
  const todo =
    'run a kernel with CONFIG_SECCOMP_FILTER, or start with --security-opt seccomp=unconfined and know what that means';
  return [{ what: 'seccomp filters', effect: 'containers with the default profile cannot be started', todo }];
}

function userNamespaces(machine: Machine): Lack[] {
  const { uid, userName, maxUserNamespaces, userNamespaceBarrier, subUids, subGids, programs } = machine;
  const lacks: Lack[] = [];
  if (maxUserNamespaces === undefined || maxUserNamespaces === 0) {
    const todo =
      maxUserNamespaces === undefined ? 'run a kernel with CONFIG_USER_NS' : 'sysctl user.max_user_namespaces=15000';
    lacks.push({ what: 'user namespaces', effect: 'containers of users without rights cannot be started', todo });
  }
  if (uid === 0) return lacks;
  if (userNamespaceBarrier !== undefined)
    lacks.push({
      what: 'user namespaces for users',
      effect: 'only root may make them here',
      todo: `as root: sysctl ${userNamespaceBarrier}`,
    });
  if (isOlder(machine.kernel, OVERLAY_KERNEL))
    lacks.push({
      what: 'overlayfs in user namespaces',
      effect: 'containers of users need fuse-overlayfs',
      todo: `run a kernel from ${OVERLAY_KERNEL.join('.')} up`,
    });
  for (const [file, count, flag] of [
    ['/etc/subuid', subUids, '--add-subuids'],
    ['/etc/subgid', subGids, '--add-subgids'],
  ] as const) {
    if (count >= ENOUGH_SUB_IDS) continue;
    lacks.push({
      what: `${ENOUGH_SUB_IDS} ids for ${userName} in ${file}`,
      effect:
        count === 0 ? 'a container has one user only' : `there are ${count}: images with higher ids cannot be used`,
      todo: `as root: usermod ${flag} 100000-165535 ${userName}; then: tare system migrate`,
    });
  }
  for (const name of ['newuidmap', 'newgidmap']) {
    if (programs[name] === undefined)
      lacks.push({
        what: `the program ${name}`,
        effect: 'a container has one user only',
        todo: 'install it (Debian: apt-get install uidmap)',
      });
  }
  return lacks;
}

/** What takes the place of the kernel's overlayfs, where it is needed. */
function fuse({ features, storageFuse, programs, fuseDeviceProblem }: Machine): Lack[] {
  if (!storageFuse && features.overlay) return [];
  const lacks: Lack[] = [];
  const effect = storageFuse
    ? 'it mounts the layers of the image store: no image can be run'
    : 'without it and without overlayfs no image can be run';
  if (programs['fuse-overlayfs'] === undefined)
    lacks.push({
      what: 'the program fuse-overlayfs',
      effect,
      todo: 'install it (Debian: apt-get install fuse-overlayfs)',
    });
  if (fuseDeviceProblem !== undefined)
    lacks.push({
      what: fuseDeviceProblem === 'missing' ? '/dev/fuse' : 'the right to open /dev/fuse',
      effect: storageFuse
        ? `fuse-overlayfs needs it, and ${effect.slice('it '.length)}`
        : 'without it fuse-overlayfs cannot take the place of overlayfs',
      todo: fuseDeviceProblem === 'missing' ? 'as root: modprobe fuse' : 'as root: chmod 0666 /dev/fuse',
    });
  return lacks;
}

function storage({ rootFreeBytes, storageFreeBytes, storageProblem }: Machine): Lack[] {
  const lacks: Lack[] = [];
  if (storageProblem !== undefined)
    lacks.push({
      what: 'a usable image store',
      effect: storageProblem,
      todo: 'change storage.conf, or give another --storage-root',
    });
  const few = (bytes: number | undefined): bytes is number => bytes !== undefined && bytes < FEW_BYTES;
  if (few(storageFreeBytes))
    lacks.push({
      what: 'space for images',
      effect: `${mebibytes(storageFreeBytes)} MiB are free`,
      todo: 'tare image prune, or give another --storage-root',
    });
  if (few(rootFreeBytes))
    lacks.push({
      what: 'space for containers',
      effect: `${mebibytes(rootFreeBytes)} MiB are free`,
      todo: 'remove ended containers (tare rm), or give another --root',
    });
  return lacks;
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 1024 ** 2);
}

function isOlder(release: string, [major, minor]: readonly [number, number]): boolean {
  const [ours = 0, next = 0] = release.split(/[.-]/).map(Number);
  return ours < major || (ours === major && next < minor);
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
