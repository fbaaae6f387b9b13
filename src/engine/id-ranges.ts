import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { writeDurably } from '../base/durable-files.ts';
import type { MountIds } from '../spec/mount.ts';
import type { IdMapping } from '../spec/runtime-config.ts';
import type { Store } from '../storage/mod.ts';
import { readAutoUserns } from '../storage/storage-conf.ts';
import { openDirectory } from '../sys/open.ts';
import { allocateIds } from './allocate-ids.ts';
import type { CreateOptions } from './create-options.ts';
import { isThere, namesIn } from './delete.ts';
import type { Engine } from './engine.ts';
import { checkIdMaps } from './id-maps.ts';
import type { AutoRequest } from './namespace-request.ts';
import type { ResolvedSource } from './prepare-source.ts';
import { containerDir } from './record.ts';
import { mappedIds } from './rootless.ts';
import { storageConfText } from './storage-places.ts';
import { type IdRange, subIds } from './sub-ids.ts';
import type { UserNamespace } from './user-namespace.ts';
import { readBeneath } from './users.ts';

/** A container in creation that is to have a user namespace. */
export interface InNamespace {
  readonly id: string;
  readonly options: CreateOptions;
  readonly resolved: ResolvedSource;
}

/** No id of a person's: files that are nobody's need none. */
const NOBODY = 65_534;

/**
 * The ids of a container with `--userns auto`: ones that no other container has, of Tare's or podman's, from the sub-ids of `containers` (storage.conf), or the unprivileged user's own. The caller
 * holds the store's lock of ids until they are noted.
 *
 * Errors: not-found without sub-ids; exhausted; invalid for a container that needs more than storage.conf allows.
 */
export async function chooseIds(
  engine: Engine,
  store: Store,
  auto: AutoRequest,
  container: InNamespace,
): Promise<UserNamespace> {
  const conf = readAutoUserns(storageConfText(engine.env, engine.rootless));
  const size = auto.size ?? (await neededIds(store, container, conf));
  const inUse = [...(await store.idsInUse()), ...notedIds(engine)];
  const choose = (kind: 'uid' | 'gid', given: readonly IdMapping[]): IdMapping[] =>
    allocateIds({
      kind,
      size,
      given,
      available: availableIds(engine, kind, conf.user),
      used: inUse.flatMap((ids) => ids[`${kind}Mappings`].map(({ hostID, size: count }) => ({ first: hostID, count }))),
      // Podman does not know of containers that are not from an image, and begins with the lowest.
      fromEnd: container.resolved.kind !== 'image',
    });
  const namespace = {
    uidMappings: choose('uid', auto.uidMappings),
    gidMappings: choose('gid', auto.gidMappings),
  };
  const { rootless } = engine;
  checkIdMaps('uid', namespace.uidMappings, rootless && mappedIds('uid'));
  checkIdMaps('gid', namespace.gidMappings, rootless && mappedIds('gid'));
  return namespace;
}

function availableIds(engine: Engine, kind: 'uid' | 'gid', owner: string): IdRange[] {
  if (engine.rootless !== undefined) {
    // Not the user's own, which is 0 in here.
    const count = mappedIds(kind) - 1;
    if (count > 0) return [{ first: 1, count }];
    throw new TareError('not-found', 'Cannot use --userns auto: this user has no subordinate ids');
  }
  const ranges = subIds(kind, owner);
  if (ranges.length > 0) return ranges;
  throw new TareError(
    'not-found',
    `Cannot use --userns auto: there are no ids for it; add the line "${owner}:2147483647:2147483648" to /etc/subuid and /etc/subgid (ids that nobody else has)`,
  );
}

/** As many ids as its files and users need, as far as can be told without looking at each file. */
async function neededIds(
  store: Store,
  { options, resolved }: InNamespace,
  conf: { readonly minSize: number; readonly maxSize: number },
): Promise<number> {
  let highest = Math.max(0, ...numbersIn(options.user), ...(options.groupAdd ?? []).flatMap(numbersIn));
  const roots: string[] = [];
  if (resolved.kind === 'image') {
    const image = store.image(resolved.imageId);
    const user = resolved.config.process?.user;
    highest = Math.max(highest, ...numbersIn(user && `${user.user}:${user.group ?? ''}`));
    if (image !== undefined) {
      highest = Math.max(highest, await store.highestOwner(image));
      roots.push(...store.imageLayers(image).map(({ id }) => store.diffPath(id)));
    }
  } else roots.push(resolved.path);
  highest = Math.max(highest, ...idsIn(roots, 'etc/passwd', [2, 3]), ...idsIn(roots, 'etc/group', [2]));
  const size = Math.max(conf.minSize, highest + 1);
  if (size > conf.maxSize)
    throw new TareError(
      'invalid',
      `Cannot use --userns auto: the container's files and users need ${size} ids, and auto-userns-max-size (storage.conf) is ${conf.maxSize}; say how many it gets: --userns auto:size=N`,
    );
  return size;
}

/** The numbers of `USER[:GROUP]`. */
function numbersIn(text: string | undefined): number[] {
  return (text ?? '').split(':').flatMap((part) => (/^\d{1,10}$/.test(part) ? [Number(part)] : []));
}

/** The ids in the first such file of several layers, topmost first. What cannot be read does not count: the user may say more. */
function idsIn(roots: readonly string[], path: string, fields: readonly number[]): number[] {
  for (const root of roots) {
    let text: string | undefined;
    try {
      using dir = openDirectory(root);
      text = readBeneath(dir, path);
    } catch {
      return [];
    }
    if (text === undefined) continue;
    return text.split('\n').flatMap((line) => {
      const parts = line.split(':');
      return fields
        .flatMap((field) => numbersIn(parts[field]))
        .filter((id) => id !== NOBODY && parts[0] !== 'nobody' && parts[0] !== 'nogroup');
    });
  }
  return [];
}

/** Notes the ids of a container that the store does not know: one of `host:` or `rootfs:`. They are its own as long as it is there. */
export function noteIds(engine: Engine, id: string, { uidMappings, gidMappings }: MountIds): void {
  const dir = engine.idRangesDir;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeDurably(join(dir, id), JSON.stringify({ uidMappings, gidMappings }));
}

/** Notes without a container are thrown away: the caller holds the lock of ids. */
function notedIds(engine: Engine): MountIds[] {
  return namesIn(engine.idRangesDir).flatMap((id) => {
    const path = join(engine.idRangesDir, id);
    if (!isThere(containerDir(engine, id))) {
      rmSync(path, { force: true });
      return [];
    }
    try {
      return [JSON.parse(readFileSync(path, 'utf8')) as MountIds];
    } catch {
      return [];
    }
  });
}
