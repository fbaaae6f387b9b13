import { TareError } from '../base/errors.ts';
import type { IdMapping } from '../spec/runtime-config.ts';

const OVERFLOW_ID = 65_534;

/** A user namespace of a container's own. The ids on the outside are those of the namespace we are in. */
export interface UserNamespace {
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
  /** Who the process is, unless the user says otherwise. */
  readonly user?: string;
}

/** What is known of the unprivileged user and its ids. */
export interface IdsOfUser {
  readonly uid: number;
  readonly gid: number;
  /** How many ids there are, from 0 on. */
  readonly uids: number;
  readonly gids: number;
}

/**
 * What `--userns` asks for, as podman means it: `host` (no namespace of its own), `keep-id[:uid=N,gid=N]` (the user has the same id inside), `nomap` (the user has none
 * inside). Undefined for `host`.
 *
 * Errors: invalid; unsupported for a path and another container, and for the machine's root.
 */
export function userNamespace(text: string, user: IdsOfUser | undefined): UserNamespace | undefined {
  const colon = text.indexOf(':');
  const mode = colon < 0 ? text : text.slice(0, colon);
  const options = colon < 0 ? [] : text.slice(colon + 1).split(',');
  const problem = (kind: 'invalid' | 'unsupported', why: string): TareError =>
    new TareError(kind, `Cannot use --userns ${text}: ${why}`);
  if (mode === 'ns' || mode === 'container')
    throw problem('unsupported', `${mode} is not supported yet; there are auto, host, keep-id and nomap`);
  if (mode !== 'host' && mode !== 'keep-id' && mode !== 'nomap' && mode !== '')
    throw problem('invalid', 'expected auto, host, keep-id[:uid=N,gid=N] or nomap');
  if (options.length > 0 && mode !== 'keep-id') throw problem('invalid', `${mode} takes no options`);
  if (mode === 'host' || mode === '') return undefined;
  if (user === undefined)
    throw problem('unsupported', 'it is for unprivileged users; root has --userns auto, and --user');
  if (mode === 'nomap') {
    if (user.uids < 2 || user.gids < 2) throw problem('unsupported', 'this user has no subordinate ids');
    return { uidMappings: withoutFirst(user.uids), gidMappings: withoutFirst(user.gids) };
  }
  const ids = { uid: user.uid, gid: user.gid };
  for (const option of options) {
    const match = /^(uid|gid)=(\d{1,10})$/.exec(option);
    const id = Number(match?.[2]);
    if (match === null || id > 0x7fffffff) throw problem('invalid', `expected uid=N or gid=N, not ${option}`);
    ids[match[1] as 'uid' | 'gid'] = id;
  }
  return {
    uidMappings: keeping(ids.uid, user.uids),
    gidMappings: keeping(ids.gid, user.gids),
    user: `${ids.uid}:${ids.gid}`,
  };
}

/** Outside 0 is `id` inside; the `count` - 1 others keep their order. */
function keeping(id: number, count: number): IdMapping[] {
  const before = Math.min(id, count - 1);
  return [
    { containerID: 0, hostID: 1, size: before },
    { containerID: id, hostID: 0, size: 1 },
    { containerID: id + 1, hostID: id + 1, size: count - 1 - id },
  ].filter(({ size }) => size > 0);
}

function withoutFirst(count: number): IdMapping[] {
  return [{ containerID: 0, hostID: 1, size: count - 1 }];
}

/** Whom an outside id is inside, as a process there sees it: who is nobody there is 65534 (/proc/sys/kernel/overflowuid). */
export function insideId(mappings: readonly IdMapping[], id: number): number {
  const mapping = mappings.find(({ hostID, size }) => id >= hostID && id < hostID + size);
  return mapping === undefined ? OVERFLOW_ID : mapping.containerID + (id - mapping.hostID);
}

/** The outside id of an id inside; undefined where there is none. */
export function outsideId(mappings: readonly IdMapping[], id: number): number | undefined {
  const mapping = mappings.find(({ containerID, size }) => id >= containerID && id < containerID + size);
  return mapping === undefined ? undefined : mapping.hostID + (id - mapping.containerID);
}
