import { TareError } from '../base/errors.ts';
import type { BindMount, Mount, OverlayMount } from '../spec/mount.ts';
import { addon } from './addon.ts';
import { check, isErrno } from './error.ts';
import { Fd } from './fd.ts';
import {
  fsconfig,
  fsconfigCreate,
  fsmount,
  fsopen,
  MOUNT_ATTR_RDONLY,
  mountSetattr,
  MS_SLAVE,
  openTree,
} from './mount.ts';
import { splitOptions } from './mount-options.ts';
import { openPath } from './open.ts';
import { mapIds } from './user-namespace.ts';

/** fsconfig(2) takes strings below 256 bytes. */
const MAX_STRING_BYTES = 255;
/** mount(2) takes one page of options. */
const MAX_OPTIONS_BYTES = 4095;

/** How a kernel takes overlay lowers: one by one (6.7 and newer), or all in one mount(2) string. */
export type OverlayWay = 'appended' | 'string';
let learned: OverlayWay | undefined;

/**
 * How this kernel takes them, asked once by naming a lower that cannot exist: a kernel that knows `lowerdir+` looks for
 * it (ENOENT); one between 6.5 and 6.7 does not know the key (EINVAL); an older one keeps any key for later (success).
 * Errors: `unsupported` without overlayfs.
 */
export function overlayWay(): OverlayWay {
  if (learned === undefined) {
    using context = fsopen('overlay');
    try {
      fsconfig(context, 'lowerdir+', '/proc/self/fd/none');
      learned = 'string';
    } catch (error) {
      learned = isErrno(error, 'ENOENT') ? 'appended' : 'string';
    }
  }
  return learned;
}

/**
 * Puts a Mount together as a detached mount: the returned descriptor is its only name, and closing it unmounts it unless it
 * was attached. Nothing becomes visible in any namespace. `way` forces how overlay lowers are passed.
 *
 * Errors: `invalid` for an overlay without lowers; `exhausted` when the lowers do not fit an old kernel's page; by errno
 * with the kernel's own words.
 */
export function mountDetached(mount: Mount, options: { way?: OverlayWay } = {}): Fd {
  return mount.kind === 'bind' ? bind(mount) : overlay(mount, options.way);
}

function bind(mount: BindMount): Fd {
  using tree = openTree(mount.source, { clone: true, recursive: mount.recursive });
  if (mount.ids !== undefined) mapIds(tree, mount.ids, { recursive: mount.recursive });
  // A copy of a shared mount is shared itself, and no root (pivot_root(2)).
  mountSetattr(tree, { propagation: MS_SLAVE, recursive: mount.recursive });
  if (mount.readOnly) mountSetattr(tree, { set: MOUNT_ATTR_RDONLY, recursive: mount.recursive });
  return Fd.adopt(tree.release());
}

function overlay(mount: OverlayMount, forced: OverlayWay | undefined): Fd {
  if (mount.lowers.length === 0) throw new TareError('invalid', 'Cannot mount overlay: it has no lower directory');
  if (mount.ids !== undefined) return idMapped(mount, mount.ids, forced);
  const way = forced ?? learned;
  if (way !== undefined) return way === 'appended' ? appended(mount) : inOneString(mount);
  try {
    const fd = appended(mount);
    learned = 'appended';
    return fd;
  } catch (error) {
    // Asking costs a millisecond of a first mount: only where the new way did not work.
    if (overlayWay() === 'appended') throw error;
    return inOneString(mount);
  }
}

/** With lowers that are seen through id-mapped mounts of their own. */
function idMapped(
  mount: OverlayMount,
  ids: Exclude<OverlayMount['ids'], undefined>,
  forced: OverlayWay | undefined,
): Fd {
  using stack = new DisposableStack();
  const { base } = ids;
  const trees = new Map<string, Fd>();
  for (const path of base === undefined ? new Set(mount.lowers) : [base]) {
    const tree = stack.use(openTree(path, { clone: true }));
    mapIds(tree, ids);
    trees.set(path, tree);
  }
  const through = (lower: string): string => {
    const path = base ?? lower;
    return `/proc/self/fd/${trees.get(path)?.number ?? -1}${lower.slice(path.length)}`;
  };
  const seen = { ...mount, lowers: mount.lowers.map(through) };
  if ((forced ?? learned) !== 'string') {
    try {
      const fd = appended(seen);
      learned = 'appended';
      return fd;
    } catch (error) {
      // Linux 6.15 is the first to take layers of detached mounts.
      if (forced === 'appended') throw error;
    }
  }
  return inOneString(seen, [...trees.values()]);
}

/**
 * Gives paths names that need no escaping and stay short: a path with a character overlayfs interprets, or too long, is
 * named through its descriptor.
 */
class Names implements Disposable {
  readonly #fds: Fd[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  of(path: string): string {
    if (!/[\\:,"]/.test(path) && Buffer.byteLength(path) <= this.#limit) return path;
    const fd = openPath(path, { follow: true });
    this.#fds.push(fd);
    return `/proc/self/fd/${fd.number}`;
  }

  /** The descriptors names were given by. */
  get handles(): Int32Array {
    return Int32Array.from(this.#fds, ({ number }) => number);
  }

  [Symbol.dispose](): void {
    for (const fd of this.#fds) fd.close();
  }
}

/** By the mount API. */
function appended(mount: OverlayMount): Fd {
  const { attributes: bits, parameters } = splitOptions(mount.options);
  using names = new Names(MAX_STRING_BYTES);
  using context = fsopen('overlay');
  for (const lower of mount.lowers) fsconfig(context, 'lowerdir+', names.of(lower));
  if (mount.upper !== undefined) fsconfig(context, 'upperdir', names.of(mount.upper));
  if (mount.work !== undefined) fsconfig(context, 'workdir', names.of(mount.work));
  for (const option of parameters) {
    const equals = option.indexOf('=');
    if (equals < 0) fsconfig(context, option);
    else fsconfig(context, option.slice(0, equals), option.slice(equals + 1));
  }
  fsconfigCreate(context);
  return fsmount(context, bits);
}

/** By mount(2) in a throw-away mount namespace, from which the mount is cloned out. Lowers may lie in `trees`, detached mounts. */
function inOneString(mount: OverlayMount, trees: readonly Fd[] = []): Fd {
  const { attributes: bits, parameters } = splitOptions(mount.options);
  const build = (names: Names): string => {
    const options = [`lowerdir=${mount.lowers.map((lower) => names.of(lower)).join(':')}`, ...parameters];
    if (mount.upper !== undefined) options.push(`upperdir=${names.of(mount.upper)}`);
    if (mount.work !== undefined) options.push(`workdir=${names.of(mount.work)}`);
    return options.join(',');
  };
  using plain = new Names(MAX_OPTIONS_BYTES);
  using short = new Names(0);
  let names = plain;
  let options = build(names);
  // What lies in a detached mount has no other name.
  if (Buffer.byteLength(options) > MAX_OPTIONS_BYTES && trees.length === 0) {
    names = short;
    options = build(names);
  }
  if (Buffer.byteLength(options) > MAX_OPTIONS_BYTES) {
    throw new TareError(
      'exhausted',
      `Cannot mount overlay: ${mount.lowers.length} lower directories do not fit this kernel's option page (Linux 6.7 takes 500)`,
    );
  }
  using fd = Fd.adopt(
    check(
      addon().mountElsewhere(
        'overlay',
        'overlay',
        0,
        options,
        names.handles,
        Int32Array.from(trees, ({ number }) => number),
      ),
      'mount',
      'overlay',
    ),
  );
  if (bits !== 0) mountSetattr(fd, { set: bits });
  return Fd.adopt(fd.release());
}
