import { TareError, isKind } from '../base/errors.ts';
import { readLifeState } from '../runtime/state.ts';
import { changedResources, limitsOf } from './config-resources.ts';
import { createContainer } from './create.ts';
import type { CreateOptions, ResourceLimits } from './create-options.ts';
import type { Engine } from './engine.ts';
import { findImage } from './find-image.ts';
import { resolveContainer } from './names.ts';
import { reconcile } from './reconcile.ts';
import { type ContainerRecord, containerDir, readConfig, readRecord } from './record.ts';
import { removeContainer } from './remove.ts';

export interface CloneOptions {
  /** Default: the original's with `-clone` behind it, and a number where that is taken. */
  readonly name?: string;
  /** Of another image; default the original's, also when its name has moved on since. */
  readonly image?: string;
  /** The pod it is in; default the original's. */
  readonly pod?: string;
  /** Limits that are to be others. */
  readonly resources?: ResourceLimits;
  /** Remove the original once the other one is there: one that does not run, or whichever state it is in. */
  readonly destroy?: 'stopped' | 'any';
}

const NAME_TRIES = 100;

/**
 * Creates a container as another one was created, with the limits that one has now. It begins with a fresh writable layer; what the original wrote stays there.
 *
 * Errors: not-found; already-exists name; invalid limits; unsupported for a container that an older Tare created; those of `createContainer`.
 */
export async function cloneContainer(
  engine: Engine,
  nameOrId: string,
  options: CloneOptions = {},
): Promise<{ id: string; name: string; warnings: string[] }> {
  const id = resolveContainer(engine, nameOrId);
  await reconcile(engine, id);
  const record = readRecord(engine, id);
  if (record.created === undefined) {
    throw new TareError(
      'unsupported',
      `Cannot clone container ${nameOrId}: how it was created was not kept (it was run with --rm, or by an older Tare); create the other one anew`,
    );
  }
  if (options.destroy === 'stopped' && readLifeState(containerDir(engine, id))?.phase === 'running') {
    throw new TareError(
      'failed-precondition',
      `Cannot replace container ${nameOrId}: it is running; stop it first (tare stop ${nameOrId}) or use --force`,
    );
  }
  const resources = limitsOf(changedResources(readConfig(engine, id).linux?.resources ?? {}, options.resources ?? {}));
  const created: CreateOptions = {
    ...withoutPolicy(record.created),
    source: options.image ?? (await sourceOf(engine, record, record.created)),
    resources,
    ...(options.pod === undefined ? {} : { pod: options.pod }),
    ...(record.restart === undefined ? {} : { restart: record.restart }),
    ...(options.image === undefined ? { pull: 'never' as const } : {}),
  };
  const clone = await createClone(options.name, record.name, (name) => createContainer(engine, { ...created, name }));
  if (options.destroy !== undefined) await removeContainer(engine, id, { force: options.destroy === 'any' });
  return clone;
}

/** The policy may have been changed since. */
function withoutPolicy({ restart: _, ...created }: CreateOptions): CreateOptions {
  return created;
}

/** Creates a clone by the wanted name, or the original's with `-clone` behind it, and a number where that is taken. Errors: those of `create`. */
export async function createClone<T>(
  wanted: string | undefined,
  original: string,
  create: (name: string) => Promise<T>,
): Promise<T> {
  if (wanted !== undefined) return create(wanted);
  for (let attempt = 0; ; attempt++) {
    try {
      return await create(`${original}-clone${attempt === 0 ? '' : attempt}`);
    } catch (error) {
      if (!isKind(error, 'already-exists') || attempt === NAME_TRIES) throw error;
    }
  }
}

/** The name the image has, as long as that is the same image: listings show it. */
async function sourceOf(engine: Engine, record: ContainerRecord, created: CreateOptions): Promise<string> {
  if (record.source.kind !== 'image') return created.source;
  const { reference, imageId } = record.source;
  return findImage(await engine.store(), reference)?.id === imageId ? reference : imageId;
}
