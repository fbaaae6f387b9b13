import { TareError } from '../base/errors.ts';
import type { IdMapping } from '../spec/runtime-config.ts';
import type { CreateOptions } from './create-options.ts';
import { checkIdMaps, parseIdMap } from './id-maps.ts';
import { type IdRange, subIds } from './sub-ids.ts';
import { type IdsOfUser, userNamespace, type UserNamespace } from './user-namespace.ts';

/** What a user wants of `--userns auto`. */
export interface AutoRequest {
  /** How many ids; default: as many as the image's files and users need. */
  readonly size?: number;
  /** Ids that are given, whatever the others become. */
  readonly uidMappings: readonly IdMapping[];
  readonly gidMappings: readonly IdMapping[];
}

/** A user namespace that a container is to have: known already, or with ids that are still to be found. */
export type NamespaceRequest = { readonly mode: string } & (
  | {
      readonly namespace: UserNamespace;
      /** All ids of the user, which other containers have as well: nothing to be noted. */
      readonly isShared?: true;
      readonly auto?: never;
    }
  | { readonly auto: AutoRequest; readonly namespace?: never }
);

type Asked = Pick<CreateOptions, 'userns' | 'uidMap' | 'gidMap' | 'subuidName' | 'subgidName'>;

/** As many ids as there are. */
const MAX_IDS = 0x1_0000_0000;

/**
 * What the options ask for: `--userns auto[:size=N,uidmapping=C:H:N,gidmapping=C:H:N]` and the modes of `userNamespace`, or maps of the user's own. Undefined: no namespace. `user` is the
 * unprivileged one.
 *
 * Errors: invalid; not-found without the sub-ids; unsupported.
 */
export function namespaceRequest(asked: Asked, user: IdsOfUser | undefined): NamespaceRequest | undefined {
  const { userns, uidMap, gidMap, subuidName, subgidName } = asked;
  const flag = [
    [uidMap, '--uidmap'],
    [gidMap, '--gidmap'],
    [subuidName, '--subuidname'],
    [subgidName, '--subgidname'],
  ].find(([value]) => value !== undefined)?.[1] as string | undefined;
  if (flag !== undefined) {
    if (userns !== undefined)
      throw new TareError('invalid', `Cannot use ${flag} with --userns ${userns}: each says which ids there are`);
    return { mode: 'private', namespace: mapped(asked, user) };
  }
  if (userns === undefined) return undefined;
  if (userns === 'auto' || userns.startsWith('auto:')) return { mode: userns, auto: autoRequest(userns) };
  const namespace = userNamespace(userns, user);
  return namespace && { mode: userns, namespace, isShared: true };
}

function mapped(asked: Asked, user: IdsOfUser | undefined): UserNamespace {
  const { uidMap, gidMap, subuidName, subgidName } = asked;
  const byHand = (flag: string, list: readonly string[]): IdMapping[] => list.map((text) => parseIdMap(flag, text));
  const uids = uidMap && byHand('--uidmap', uidMap);
  const gids = gidMap && byHand('--gidmap', gidMap);
  const ofName = (kind: 'uid' | 'gid', name: string | undefined): IdMapping[] | undefined => {
    if (name === undefined) return undefined;
    const flag = `--sub${kind}name ${name}`;
    if (user !== undefined) throw new TareError('unsupported', `Cannot use ${flag}: it is for the machine's root`);
    const ranges = subIds(kind, name);
    if (ranges.length === 0)
      throw new TareError('not-found', `Cannot use ${flag}: /etc/sub${kind} has no ids for ${name}`);
    return oneAfterTheOther(ranges);
  };
  // What is said of one kind holds for the other, where nothing is said of that: as in podman.
  const uidMappings = uids ?? ofName('uid', subuidName) ?? gids ?? ofName('uid', subgidName) ?? [];
  const gidMappings = gids ?? ofName('gid', subgidName) ?? uids ?? ofName('gid', subuidName) ?? [];
  checkIdMaps('uid', uidMappings, user?.uids);
  checkIdMaps('gid', gidMappings, user?.gids);
  return { uidMappings, gidMappings };
}

function oneAfterTheOther(ranges: readonly IdRange[]): IdMapping[] {
  let containerID = 0;
  return ranges.map(({ first, count }) => {
    const mapping = { containerID, hostID: first, size: count };
    containerID += count;
    return mapping;
  });
}

function autoRequest(text: string): AutoRequest {
  const request = { uidMappings: [] as IdMapping[], gidMappings: [] as IdMapping[] };
  let size: number | undefined;
  for (const option of text === 'auto' ? [] : text.slice('auto:'.length).split(',')) {
    const equals = option.indexOf('=');
    const [key, value] = [option.slice(0, Math.max(0, equals)), option.slice(equals + 1)];
    if (key === 'size' && /^[1-9]\d{0,9}$/.test(value) && Number(value) < MAX_IDS) size = Number(value);
    else if (key === 'uidmapping') request.uidMappings.push(parseIdMap(`--userns ${key}`, value));
    else if (key === 'gidmapping') request.gidMappings.push(parseIdMap(`--userns ${key}`, value));
    else
      throw new TareError(
        'invalid',
        `Cannot use --userns ${text}: expected size=N, uidmapping=CONTAINER:HOST:LENGTH or gidmapping=CONTAINER:HOST:LENGTH, not ${option || 'nothing'}`,
      );
  }
  return { ...request, ...(size === undefined ? {} : { size }) };
}
