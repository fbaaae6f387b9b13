import { chmodSync, chownSync, existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isKind, TareError } from '../../base/errors.ts';
import type { Mount, RuntimeConfig } from '../../spec/runtime-config.ts';
import { isErrno } from '../../sys/error.ts';
import type { Fd } from '../../sys/fd.ts';
import {
  fsconfig,
  fsconfigCreate,
  fsmount,
  fsopen,
  MNT_DETACH,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  moveMount,
  openTree,
  umount,
} from '../../sys/mount.ts';
import { AT_FDCWD } from '../../sys/open.ts';
import type { Engine } from '../engine.ts';
import type { ContainerRecord } from '../record.ts';
import { outsideId } from '../user-namespace.ts';
import type { OpenedMount } from '../volumes/open-mounts.ts';
import { readSecret } from './store.ts';
import type { SecretUse } from './use.ts';

/** What a container's program starts with, secrets included. It is never written anywhere. The files live as long as what was mounted of them, and until this is disposed of. */
export interface PlacedSecrets extends Disposable {
  readonly config: RuntimeConfig;
  /** The files, by their destination. */
  readonly opened: readonly OpenedMount[];
}

/**
 * Makes the secrets of a container ready for its start. Their values are read now: one that was replaced has its new value. Files are on a tmpfs of their own that no namespace shows.
 *
 * Errors: not-found for a secret that is gone; those of the drivers.
 */
export async function placeSecrets(
  engine: Engine,
  record: ContainerRecord,
  config: RuntimeConfig,
): Promise<PlacedSecrets> {
  const files = record.secrets?.filter(({ type }) => type === 'mount') ?? [];
  const values = await Promise.all(files.map((use) => valueOf(engine, use)));
  const withEnv = await withSecretEnv(engine, record, config);
  using stack = new DisposableStack();
  const trees = files.length === 0 ? [] : treesOf(engine, record, files, values, stack);
  const placed = stack.move();
  return {
    config: { ...withEnv, mounts: [...(config.mounts ?? []), ...files.map(mountOf)] },
    opened: trees.map((fd, index) => ({ destination: files[index]?.target ?? '', fd, kind: 'file' })),
    [Symbol.dispose]: () => placed.dispose(),
  };
}

function mountOf({ name, target }: SecretUse): Mount {
  const options = ['bind', 'ro', 'nosuid', 'nodev', 'noexec', 'rprivate'];
  return { destination: target, type: 'bind', source: `secret:${name}`, options };
}

/** The config with the variables that are secrets: also for an exec session. Errors: as `placeSecrets`. */
export async function withSecretEnv(
  engine: Engine,
  { secrets }: Pick<ContainerRecord, 'secrets'>,
  config: RuntimeConfig,
): Promise<RuntimeConfig> {
  const variables = secrets?.filter(({ type }) => type === 'env') ?? [];
  if (variables.length === 0 || config.process === undefined) return config;
  const env = [...(config.process.env ?? [])];
  for (const use of variables) {
    const value = Buffer.from(await valueOf(engine, use)).toString();
    if (value.includes('\0'))
      throw new TareError('invalid', `Cannot use secret ${use.name} as a variable: its value has a NUL byte`);
    env.push(`${use.target}=${value}`);
  }
  return { ...config, process: { ...config.process, env } };
}

async function valueOf(engine: Engine, { name }: SecretUse): Promise<Uint8Array> {
  try {
    return await readSecret(engine, name);
  } catch (cause) {
    if (!isKind(cause, 'not-found')) throw cause;
    throw new TareError('not-found', `Cannot start: secret ${name} is gone (tare secret create ${name} FILE)`, {
      cause,
    });
  }
}

function writeSecret(path: string, value: Uint8Array, use: SecretUse, { userns }: ContainerRecord): void {
  writeFileSync(path, value, { flag: 'wx', mode: 0o600 });
  const [uid, gid] =
    userns === undefined
      ? [use.uid, use.gid]
      : [outsideId(userns.uidMappings, use.uid), outsideId(userns.gidMappings, use.gid)];
  if (uid === undefined || gid === undefined)
    throw new TareError(
      'invalid',
      `Cannot give secret ${use.name} to ${use.uid}:${use.gid}: its user namespace has no such ids`,
    );
  chownSync(path, uid, gid);
  chmodSync(path, use.mode);
}

const PAGE_BYTES = 4096;

/** A detached mount of each file, which `stack` owns. */
function treesOf(
  engine: Engine,
  record: ContainerRecord,
  files: readonly SecretUse[],
  values: readonly Uint8Array[],
  stack: DisposableStack,
): Fd[] {
  // A page at least for each file.
  const pages = values.reduce((sum, { length }) => sum + Math.ceil(length / PAGE_BYTES) + 1, 0);
  using tmpfs = newTmpfs(pages * PAGE_BYTES);
  const unseen = `/proc/self/fd/${tmpfs.number}`;
  for (const [index, use] of files.entries())
    writeSecret(join(unseen, String(index)), values[index] ?? new Uint8Array(0), use, record);
  const clones = (dir: string): Fd[] =>
    files.map((_, index) => stack.use(openTree(join(dir, String(index)), { clone: true })));
  try {
    return clones(unseen);
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
  }
  // Before Linux 6.15 only what is attached can be cloned: it is, for this moment.
  const place = attachedAt(engine, record.id);
  dropPlacedSecrets(engine, record.id);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  try {
    moveMount(tmpfs, AT_FDCWD, place);
    return clones(place);
  } finally {
    dropPlacedSecrets(engine, record.id);
  }
}

function newTmpfs(sizeBytes: number): Fd {
  using context = fsopen('tmpfs');
  // Some for directories, too.
  fsconfig(context, 'size', String(sizeBytes + 64 * PAGE_BYTES));
  fsconfig(context, 'mode', '0700');
  try {
    fsconfig(context, 'noswap');
  } catch {
    // Linux 6.4 and newer know it, and let only the machine's root say it.
  }
  fsconfigCreate(context);
  return fsmount(context, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

function attachedAt({ runRoot }: Engine, id: string): string {
  return join(runRoot, 'secrets', id);
}

/** Takes away what a start left that was killed. */
export function dropPlacedSecrets(engine: Engine, id: string): void {
  const place = attachedAt(engine, id);
  if (!existsSync(place)) return;
  try {
    umount(place, MNT_DETACH);
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw error;
  }
  for (const dir of [place, dirname(place)]) {
    try {
      rmdirSync(dir);
    } catch {
      // Gone already, or others have something there.
    }
  }
}
