import { writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { TareError } from '../../base/errors.ts';
import type { Mount as OciMount } from '../../spec/runtime-config.ts';
import type { Fd } from '../../sys/fd.ts';
import { openDirectory } from '../../sys/open.ts';
import { requestedMounts } from '../config-mounts.ts';
import type { CreateOptions, MountRequest } from '../create-options.ts';
import type { Engine } from '../engine.ts';
import { newId } from '../ids.ts';
import type { PreparedSource } from '../prepare-source.ts';
import type { RecordedMount } from '../record.ts';
import type { UserNamespace } from '../user-namespace.ts';
import { checkMayChown } from './chown-tree.ts';
import { createVolume, makeVolume } from './create-volume.ts';
import { holdVolume } from './hold-volume.ts';
import { checkLocalOptions } from './local-options.ts';
import { giveAway, prepareContents, showsOwners } from './prepare-contents.ts';
import { takeImage } from './take-image.ts';
import { DATA, isPlain, ownerPrefix, readVolume, SHARED, volumePath } from './volume.ts';
import { mountsFrom } from './volumes-from.ts';

/** What is known of the container that is being made. */
export interface TakeInput {
  readonly id: string;
  readonly options: CreateOptions;
  readonly prepared: PreparedSource;
  readonly rootfs: Fd;
  /** A user namespace of its own, and whether the kernel shows it the files of its root file system with other owners. */
  readonly namespace?: UserNamespace;
  readonly mapped: boolean;
  /** It removes itself. */
  readonly ephemeral: boolean;
  readonly signal?: AbortSignal;
}

/** The mounts of a container, and the volumes among them held until its record is written. */
export interface TakenMounts extends Disposable {
  readonly mounts: readonly OciMount[];
  readonly recorded: readonly RecordedMount[];
  /** How another container like it is made: those of `volumesFrom` are among them, those of the image are not. */
  readonly requests: readonly MountRequest[];
}

/** An image of a stranger's: each is a directory on the disk. */
const MAX_IMAGE_VOLUMES = 256;
const MAX_TRIES = 16;

/**
 * Makes the volumes that a container wants, fills fresh ones with what its image has there, and holds them: none is removed before the container's record names it. A failure, or a kill, leaves named
 * volumes, as they would have been; anonymous ones go with the dead container.
 *
 * Errors: invalid; not-found container of `volumesFrom`, image, bind source; those of `createVolume` and `copyUp`; cancelled.
 */
export async function takeMounts(engine: Engine, input: TakeInput): Promise<TakenMounts> {
  const { options, prepared } = input;
  const asked = options.mounts ?? [];
  const borrowed = without(asked, mountsFrom(engine, options.volumesFrom ?? []));
  const requests = [...asked, ...borrowed];
  const declared = imageVolumes(prepared.imageConfig?.process.volumes ?? []);
  const all = [...requests, ...without(requests, declared)];
  // What lies below another mount goes on top of it.
  all.sort((a, b) => depth(a.destination) - depth(b.destination));
  const mounts: OciMount[] = [];
  const recorded: RecordedMount[] = [];
  using stack = new DisposableStack();
  const seen = new Set<string>();
  let images = 0;
  for (const request of all) {
    const { destination } = request;
    if (seen.has(destination)) throw new TareError('invalid', `Cannot mount on ${destination}: two mounts want it`);
    seen.add(destination);
    if (request.type === 'volume') {
      const taken = await takeVolume(engine, input, request, borrowed.includes(request));
      stack.use(taken.life);
      mounts.push(taken.mount);
      recorded.push(taken.recorded);
    } else if (request.type === 'image') {
      const taken = await takeImage(engine, input, request, ++images);
      mounts.push(taken.mount);
      recorded.push(taken.recorded);
    } else {
      mounts.push(...requestedMounts([request]));
      const { chown: _, ...kept } = request as Extract<MountRequest, { type: 'bind' }>;
      recorded.push(request.type === 'bind' ? kept : request);
      if (chowns(request) && request.type === 'bind') {
        checkMayChown(request.source);
        using source = openDirectory(request.source);
        giveAway(input, source, request.options?.includes('idmap') === true);
      }
    }
  }
  const kept = stack.move();
  return { mounts, recorded, requests, [Symbol.dispose]: () => kept.dispose() };
}

function chowns(mount: MountRequest): boolean {
  return (mount.type === 'bind' || mount.type === 'volume') && mount.chown === true;
}

function depth(path: string): number {
  return path.split('/').filter((part) => part !== '').length;
}

/** Those whose place nobody else wants. */
function without(taken: readonly MountRequest[], more: readonly MountRequest[]): readonly MountRequest[] {
  const places = new Set(taken.map(({ destination }) => destination));
  return more.filter(({ destination }) => !places.has(destination));
}

/** What an image declares becomes anonymous volumes. Its paths are anybody's words. Errors: invalid. */
function imageVolumes(paths: readonly string[]): MountRequest[] {
  const places = new Set(paths.map((path) => posix.normalize(`/${path}`).replace(/(?<=.)\/$/, '')));
  places.delete('/');
  if (places.size > MAX_IMAGE_VOLUMES)
    throw new TareError(
      'invalid',
      `Cannot create container: its image declares ${places.size} volumes; more than ${MAX_IMAGE_VOLUMES} are not made`,
    );
  return [...places].map((destination) => ({ type: 'volume', destination, readOnly: false }));
}

async function takeVolume(
  engine: Engine,
  input: TakeInput,
  request: Extract<MountRequest, { type: 'volume' }>,
  isBorrowed: boolean,
): Promise<{ readonly life: Fd; readonly mount: OciMount; readonly recorded: RecordedMount }> {
  using stack = new DisposableStack();
  checkSubpath(request);
  const anonymous = request.name === undefined;
  const name = request.name ?? ownerPrefix(input.id) + newId().slice(32);
  const life = stack.use(await holdOrMake(engine, input, name, request, isBorrowed));
  const volume = readVolume(engine, name, 'use');
  if (volume.container !== undefined && volume.container !== input.id)
    writeFileSync(volumePath(engine, name, SHARED), '', { mode: 0o600 });
  const idmap = isPlain(volume) && (request.options?.includes('idmap') === true || showsOwners(engine, input, name));
  await prepareContents(engine, input, request, volume, idmap);
  const opened = request.subpath !== undefined || !isPlain(volume);
  const { chown: _chown, labels: _labels, driverOptions: _options, ...kept } = request;
  stack.move();
  return {
    life,
    mount: {
      destination: request.destination,
      type: 'bind',
      // What has no path of its own is opened at each start: by this name nobody opens anything.
      source: opened ? `volume:${name}` : volumePath(engine, name, DATA),
      options: volumeOptions(request, idmap, isPlain(volume)),
    },
    recorded: { ...kept, name, ...(anonymous ? { anonymous } : {}), ...(opened ? { opened } : {}) },
  };
}

/** `..` is refused as it stands; links are met when it is opened. Errors: invalid. */
function checkSubpath({ subpath, destination }: { readonly subpath?: string; readonly destination: string }): void {
  if (subpath === undefined) return;
  if (subpath === '' || subpath.startsWith('/') || subpath.includes('\0') || subpath.split('/').includes('..'))
    throw new TareError(
      'invalid',
      `Cannot mount on ${destination}: subpath ${JSON.stringify(subpath)} must be relative and without ..`,
    );
}

async function holdOrMake(
  engine: Engine,
  input: TakeInput,
  name: string,
  request: Extract<MountRequest, { type: 'volume' }>,
  isBorrowed: boolean,
): Promise<Fd> {
  const { labels = {}, driverOptions = {} } = request;
  const anonymous = request.name === undefined;
  for (let tries = 0; ; tries++) {
    const held = anonymous ? undefined : await holdVolume(engine, name, input.signal);
    if (held !== undefined) return held;
    if (isBorrowed) throw new TareError('not-found', `Cannot use volume ${name} of another container: it was removed`);
    if (tries === MAX_TRIES)
      throw new TareError(
        'unavailable',
        `Cannot use volume ${name}: its directory is damaged, or others keep removing it`,
      );
    if (anonymous) {
      const { id: container, ephemeral } = input;
      const owned = { container, ...(ephemeral ? { ephemeral } : {}) };
      await makeVolume(engine, { name, labels, options: checkLocalOptions(name, driverOptions), ...owned });
      const life = await holdVolume(engine, name, input.signal);
      if (life !== undefined) return life;
      throw new TareError('unavailable', `Cannot create volume ${name}: somebody removed it at once`);
    }
    await createVolume(engine, { name, labels, options: driverOptions, ignore: true });
  }
}

function volumeOptions(request: Extract<MountRequest, { type: 'volume' }>, idmap: boolean, plain: boolean): string[] {
  const options = request.options ?? [];
  return [
    'rbind',
    request.propagation ?? 'rprivate',
    // What the volume's own options made read-only stays so.
    ...(request.readOnly ? ['ro'] : plain ? ['rw'] : []),
    'nosuid',
    'nodev',
    ...options,
    ...(idmap && !options.includes('idmap') ? ['idmap'] : []),
  ];
}
