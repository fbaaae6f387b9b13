import { fstatSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { syncDirectory, writeDurably } from '../../base/durable-files.ts';
import { TareError } from '../../base/errors.ts';
import { ifPresent } from '../../base/if-present.ts';
import { isErrno } from '../../sys/error.ts';
import { Fd } from '../../sys/fd.ts';
import { type LockMode, lockWait } from '../../sys/lock.ts';
import type { JsonObject } from './json.ts';
import { parseResult, type CniResult } from './result.ts';
import type { CniVersion } from './spec-version.ts';

/** A container in a CNI network, or on its way into one: all that a DEL needs, written before the ADD. The key is the container and the name of the link: a namespace has each name once. */
export interface CniAttachment {
  readonly version: 1;
  readonly containerId: string;
  readonly ifname: string;
  readonly network: string;
  /** Which version of the specification the plugins were spoken to in. */
  readonly cniVersion: CniVersion;
  /** Text of the configuration it was added with, and the file that was. */
  readonly conf: string;
  readonly path: string;
  readonly netns: string;
  readonly args: readonly (readonly [key: string, value: string])[];
  readonly capabilityArgs: JsonObject;
  readonly pluginDirs: readonly string[];
  /** What the last plugin printed; absent until the ADD is through. */
  readonly result?: JsonObject;
}

const LOCK = 'lock';
const RECORD = /^(.+)\.json$/;
const MAX_IFNAME = 15;

/** Whether this can be a link's name (IFNAMSIZ, and what the specification forbids). */
export const isLinkName = (name: string): boolean =>
  name.length > 0 && name.length <= MAX_IFNAME && /^[^/:\s\p{Cc}]+$/u.test(name) && name !== '.' && name !== '..';

/** Errors: invalid for what cannot be a container's id. */
export function checkContainerId(id: string): void {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(id))
    throw new TareError(
      'invalid',
      `Cannot use container id ${JSON.stringify(id)} with CNI: expected letters, digits, _ . -`,
    );
}

/** Errors: invalid for what cannot be a container's id, or a link's name. */
export function checkAttachmentKey(containerId: string, ifname: string): void {
  checkContainerId(containerId);
  if (!isLinkName(ifname))
    throw new TareError(
      'invalid',
      `Cannot use interface name ${JSON.stringify(ifname)}: expected up to ${MAX_IFNAME} characters without / : and blanks`,
    );
}

/** What an ADD made, as far as it came. Errors: invalid. */
export function resultOf({ result, cniVersion }: CniAttachment): CniResult | undefined {
  return result === undefined ? undefined : parseResult(result, cniVersion);
}

/** All that a container has of CNI networks, or may have, by the names of its links. Half-written ones and strangers' files are none. */
export function attachmentsOf(stateDir: string, containerId: string): CniAttachment[] {
  const dir = join(stateDir, containerId);
  return (ifPresent(() => readdirSync(dir)) ?? [])
    .filter((name) => RECORD.test(name))
    .sort()
    .flatMap((name) => readAttachment(join(dir, name)) ?? []);
}

/** Containers that have something of CNI networks, or may have. */
export function containersWithAttachments(stateDir: string): string[] {
  return (ifPresent(() => readdirSync(stateDir, { withFileTypes: true })) ?? [])
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

function readAttachment(path: string): CniAttachment | undefined {
  const text = ifPresent(() => readFileSync(path, 'utf8'));
  if (text === undefined) return undefined;
  let attachment: CniAttachment;
  try {
    attachment = JSON.parse(text) as CniAttachment;
  } catch (cause) {
    throw new TareError('internal', `Cannot read ${path}: not JSON`, { cause });
  }
  if (attachment.version !== 1)
    throw new TareError(
      'unsupported',
      `Cannot read ${path}: it has version ${String(attachment.version)}; use the Tare that wrote it`,
    );
  return attachment;
}

/** What a container has, for one at a time; kept also over a power failure, as plugins keep things on the disk. */
export class ContainerState implements Disposable {
  readonly #dir: string;
  readonly #all: Fd;
  readonly #own: Fd;

  private constructor(dir: string, all: Fd, own: Fd) {
    this.#dir = dir;
    this.#all = all;
    this.#own = own;
  }

  /**
   * Waits until nobody works on the container, also no plugin of somebody who was killed, but for so long: then whoever has the lock left something behind that will not end. Errors: cancelled; deadline.
   */
  static async open(
    stateDir: string,
    containerId: string,
    patienceMs: number,
    signal?: AbortSignal,
  ): Promise<ContainerState> {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    using all = await lockFile(join(stateDir, LOCK), 'read', patienceMs, signal);
    const dir = join(stateDir, containerId);
    for (;;) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const path = join(dir, LOCK);
      // Who had it may have removed it, as the last of the container.
      using own = await lockFile(path, 'write', patienceMs, signal).catch(goneAsUndefined);
      if (own !== undefined && statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(own.number).ino)
        return new ContainerState(dir, Fd.adopt(all.release()), Fd.adopt(own.release()));
    }
  }

  /** For plugins to inherit. */
  get lock(): Fd {
    return this.#own;
  }

  read(ifname: string): CniAttachment | undefined {
    return readAttachment(this.#path(ifname));
  }

  /** Replaces it at once; it is on the disk when this returns. */
  write(attachment: CniAttachment): void {
    writeDurably(this.#path(attachment.ifname), JSON.stringify(attachment), { temp: join(this.#dir, 'new') });
    syncDirectory(this.#dir);
    // Its own name is new, too.
    syncDirectory(dirname(this.#dir));
  }

  remove(ifname: string): void {
    rmSync(this.#path(ifname), { force: true });
  }

  #path(ifname: string): string {
    return join(this.#dir, `${ifname}.json`);
  }

  /** Lets go; of a container that has nothing left, the directory goes as well. */
  [Symbol.dispose](): void {
    try {
      const names = readdirSync(this.#dir);
      if (names.some((name) => RECORD.test(name))) return;
      for (const name of names) rmSync(join(this.#dir, name), { force: true });
      rmdirSync(this.#dir);
    } catch (error) {
      // Who waits for the lock has made another one there, or has taken all away.
      if (!isErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error;
    } finally {
      this.#own.close();
      this.#all.close();
    }
  }
}

/** The state of all containers, alone: for GC. Errors: cancelled; deadline. */
export async function lockAllState(stateDir: string, patienceMs: number, signal?: AbortSignal): Promise<Fd> {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  return lockFile(join(stateDir, LOCK), 'write', patienceMs, signal);
}

async function lockFile(path: string, mode: LockMode, patienceMs: number, signal?: AbortSignal): Promise<Fd> {
  using file = Fd.adopt(openSync(path, 'a+', 0o600));
  const patience = AbortSignal.timeout(patienceMs);
  try {
    await lockWait(file, mode, { signal: signal === undefined ? patience : AbortSignal.any([patience, signal]) });
  } catch (error) {
    if (!patience.aborted || signal?.aborted === true) throw error;
    const who = 'a CNI plugin, or what one started, holds it and does not end';
    throw new TareError('deadline', `Cannot lock ${path}: ${who}`, { cause: error });
  }
  return Fd.adopt(file.release());
}

function goneAsUndefined(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
