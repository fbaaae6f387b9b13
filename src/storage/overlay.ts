import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { TareError } from '../base/errors.ts';
import { ifPresent } from '../base/if-present.ts';
import { removeTreeSync } from '../sys/remove-tree.ts';
import { createFile, readCapped } from './_file.ts';
import { randomLink } from './_random.ts';
import { initMountProgram } from './mount-program.ts';
import { isId } from './record.ts';
import type { TempDir, TempRoots } from './temp-dir.ts';

/** overlayfs takes no more lower directories. */
export const MAX_LAYERS = 500;
const MAX_LOWER_BYTES = 64 * 1024;

/**
 * The directories of the overlay driver: `overlay/ID/{diff,link,lower,lower-layers,work,merged,empty}` and the short links `overlay/l/LINK`. Makes and
 * takes apart directories; knows nothing of records and locks.
 */
export class OverlayDirs implements TempRoots {
  readonly home: string;
  readonly tempDirs: string;
  readonly metaTempDirs: string;

  constructor(graphRoot: string) {
    this.home = join(graphRoot, 'overlay');
    this.tempDirs = join(this.home, 'tempdirs');
    this.metaTempDirs = join(graphRoot, 'overlay-layers', 'tmp');
  }

  /** `rest` below the directory of layer `id`. */
  at(id: string, ...rest: string[]): string {
    return join(this.home, id, ...rest);
  }

  exists(id: string): boolean {
    return existsSync(this.at(id, 'diff'));
  }

  /** Makes the driver's own directories when they are missing, `l` last: where it is, all is. `fuse`: of a store that does not say yet how it is mounted. */
  ensureHome(fuse: boolean): void {
    mkdirSync(this.home, { recursive: true, mode: 0o700 });
    initMountProgram(this.home, fuse);
    mkdirSync(join(this.home, 'l'), { recursive: true, mode: 0o755 });
  }

  /**
   * Fills `dir`, which has or gets `diff`, with what makes it a layer on top of `parent`; returns the name of its short link. A `diff` that says nothing
   * about itself (`inheritRoot`) gets owner and mode from the parent's, 0555 without one. `below`: its parent and the layers below that.
   */
  prepare(
    dir: string,
    parent: string | undefined,
    inheritRoot: boolean,
    below: readonly string[] = parent === undefined ? [] : this.withLowers(parent),
  ): string {
    const diff = join(dir, 'diff');
    const parentLink = parent === undefined ? undefined : this.link(parent);
    if (inheritRoot) {
      mkdirSync(diff, { recursive: true, mode: 0o700 });
      const root = parent === undefined ? undefined : lstatSync(this.at(parent, 'diff'));
      if (root !== undefined) chownSync(diff, root.uid, root.gid);
      chmodSync(diff, (root?.mode ?? 0o555) & 0o7777);
    }
    const link = randomLink();
    // Never there without its contents, whenever we are killed: podman deletes an unfinished layer by removing `l/` and what this file says, and that would be all of `l`.
    createFile(join(dir, '.link'), link, { mode: 0o644 });
    renameSync(join(dir, '.link'), join(dir, 'link'));
    mkdirSync(join(dir, 'work'), { mode: 0o700 });
    mkdirSync(join(dir, 'merged'), { mode: 0o700 });
    if (parent === undefined || parentLink === undefined) mkdirSync(join(dir, 'empty'), { mode: 0o700 });
    else {
      const lower = readCapped(this.at(parent, 'lower'), MAX_LOWER_BYTES)?.toString('latin1').trim();
      createFile(join(dir, 'lower'), `l/${parentLink}${lower === undefined || lower === '' ? '' : `:${lower}`}`, {
        mode: 0o644,
      });
      createFile(join(dir, 'lower-layers'), below.join(':'), { mode: 0o644 });
    }
    return link;
  }

  /** Makes the short link of a layer that is in its place. */
  publishLink(id: string, link: string): void {
    symlinkSync(`../${id}/diff`, join(this.home, 'l', link));
  }

  /** Moves all of a layer out of sight. */
  remove(id: string, temp: TempDir): void {
    this.#unlink(id);
    temp.take(this.at(id));
  }

  /** Deletes a layer that nobody has used yet, and so has no contents. */
  delete(id: string): void {
    this.#unlink(id);
    removeTreeSync(this.at(id));
  }

  #unlink(id: string): void {
    for (const link of this.#linksTo(id)) ifPresent(() => unlinkSync(join(this.home, 'l', link)));
  }

  /** Normally the one that it names itself; a layer that was killed half-way may name none, or be named wrongly. */
  #linksTo(id: string): string[] {
    const target = `../${id}/diff`;
    const pointsHere = (link: string): boolean => ifPresent(() => readlinkSync(join(this.home, 'l', link))) === target;
    const own = readCapped(this.at(id, 'link'), 64)?.toString('latin1').trim() ?? '';
    if (/^[A-Z2-7]{26}$/.test(own)) return pointsHere(own) ? [own] : [];
    return readdirSync(join(this.home, 'l')).filter(pointsHere);
  }

  /** The name of a layer's short link. Errors: `failed-precondition` when it is damaged. */
  link(id: string): string {
    const link = readFileSync(this.at(id, 'link'), 'latin1').trim();
    if (!/^[A-Z2-7]{26}$/.test(link))
      throw damaged(id, 'its link file is no link name (after a power loss? pull the image again)');
    return link;
  }

  /** The `diff` directories below layer `id`, nearest first. `known`: the layers that these are of. Errors: `failed-precondition` when one is lost. */
  lowers(id: string, known: readonly string[] = this.lowerIds(id)): string[] {
    const lowers = known.map((lower) => this.at(lower, 'diff'));
    if (lowers.length > MAX_LAYERS)
      throw new TareError(
        'unsupported',
        `Cannot mount layer ${id}: ${lowers.length} layers below it, at most ${MAX_LAYERS}`,
      );
    return lowers;
  }

  /** A layer and those below it, nearest first. Errors: as `lowers`. */
  withLowers(id: string): string[] {
    return [id, ...this.lowerIds(id)];
  }

  /** The layers below layer `id`, nearest first. Both forms are written; others may have written only one, or have lost a link that the other still names. Errors: as `lowers`. */
  lowerIds(id: string): string[] {
    const ids = readCapped(this.at(id, 'lower-layers'), MAX_LOWER_BYTES)?.toString('latin1').trim();
    if (ids !== undefined && ids !== '') {
      return ids.split(':').map((lower) => {
        if (!isId(lower)) throw damaged(id, 'its lower-layers file names no layer');
        return lower;
      });
    }
    const links = readCapped(this.at(id, 'lower'), MAX_LOWER_BYTES)?.toString('latin1').trim();
    if (links === undefined) return [];
    return links.split(':').map((link) => {
      if (!/^l\/[A-Z2-7]{26}$/.test(link))
        throw damaged(id, 'its lower file names no layer (after a power loss? pull the image again)');
      const lower = /^\.\.\/([0-9a-f]{64})\/diff$/.exec(
        ifPresent(() => readlinkSync(join(this.home, link))) ?? '',
      )?.[1];
      if (lower === undefined) throw damaged(id, `the link ${link} of a lower layer is lost`);
      return lower;
    });
  }
}

function damaged(id: string, why: string): TareError {
  return new TareError('failed-precondition', `Cannot use layer ${id}: ${why}`);
}
