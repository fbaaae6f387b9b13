import type { IdMapping, Linux, NamespaceType } from '../../spec/runtime-types.ts';
import { type Draft, invalid, unsupported } from './draft.ts';

/** CLONE_NEW*. */
const cloneFlags: Readonly<Record<NamespaceType, number>> = {
  time: 0x80,
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
};

/** What the configuration says about each namespace: made new, joined by path, or (absent) the host's own. */
export class Namespaces {
  readonly #types = new Map<NamespaceType, string | undefined>();

  /** Errors: `invalid` for a namespace named twice, `unsupported` without a mount namespace of the container's own. */
  constructor(linux: Linux | undefined) {
    for (const { type, path } of linux?.namespaces ?? []) {
      if (this.#types.has(type)) throw invalid('linux.namespaces', `${type} is in it twice`);
      this.#types.set(type, path);
    }
    if (!this.isNew('mount')) throw unsupported('linux.namespaces', 'a container needs a new mount namespace');
  }

  /** Not the host's: new, or joined. */
  has(type: NamespaceType): boolean {
    return this.#types.has(type);
  }

  isNew(type: NamespaceType): boolean {
    return this.#types.has(type) && this.#types.get(type) === undefined;
  }

  /** The CLONE_NEW* bits of every namespace that is not the host's. */
  get flags(): number {
    return [...this.#types.keys()].reduce((flags, type) => flags | cloneFlags[type], 0);
  }

  /** Namespaces joined by path. */
  get joined(): { readonly flag: number; readonly path: string }[] {
    return [...this.#types].flatMap(([type, path]) => (path === undefined ? [] : [{ flag: cloneFlags[type], path }]));
  }

  /** Bits for the clone itself. A new cgroup namespace is left out: its root is where the process is when it is made, so init makes it after it entered its cgroup. */
  get cloneFlags(): number {
    let flags = 0;
    for (const [type, path] of this.#types) if (path === undefined && type !== 'cgroup') flags |= cloneFlags[type];
    return flags;
  }
}

/** Clone, join, id maps and clock offsets. `cgroup` is the slot of the directory to be born in. */
export function compileClone(draft: Draft, linux: Linux | undefined, namespaces: Namespaces, cgroup: number): void {
  draft.add({ op: 'clone', flags: namespaces.cloneFlags, cgroup });
  for (const { flag, path } of namespaces.joined)
    draft.add({ op: 'join', fd: draft.fd({ kind: 'namespace', path }), nstype: flag });
  const uids = linux?.uidMappings ?? [];
  const gids = linux?.gidMappings ?? [];
  if (namespaces.isNew('user')) {
    if (uids.length === 0 || gids.length === 0)
      throw invalid('linux.namespaces', 'a new user namespace needs uidMappings and gidMappings');
    draft.add({ op: 'idmap', uid: mapText(uids), gid: mapText(gids), setgroups: 1 });
  } else if (!namespaces.has('user') && (uids.length > 0 || gids.length > 0)) {
    throw invalid('linux.uidMappings', 'there is no user namespace to map');
  }
  const offsets = Object.entries(linux?.timeOffsets ?? {});
  if (offsets.length > 0) {
    if (!namespaces.isNew('time')) throw invalid('linux.timeOffsets', 'there is no new time namespace to set');
    draft.add({
      op: 'timens',
      offsets: offsets.map(([clock, { secs = 0, nanosecs = 0 }]) => `${clock} ${secs} ${nanosecs}\n`).join(''),
    });
  }
}

function mapText(mappings: readonly IdMapping[]): string {
  return mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('');
}

/** CLONE_NEWCGROUP. */
export const CLONE_NEWCGROUP: number = cloneFlags.cgroup;
