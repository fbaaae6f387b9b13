/**
 * What a test needs of the machine, as values for node:test's `skip`: `test(name, { skip: needs.root() || needs.program('podman') }, ...)`.
 *
 * A lane on a machine that is meant to run everything (CI=1) fails on any skipped test, unless the reason begins with "cannot here:": what no
 * package and no privilege brings, such as a kernel feature.
 */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';

/** False: present. Otherwise why the test is skipped. */
export type Need = string | false;

/** Programs and the Debian packages they come in, where the names differ. `tools/lane.ts` installs them. */
export const debianPackages: Readonly<Record<string, string>> = {
  busybox: 'busybox-static',
  newuidmap: 'uidmap',
  setpriv: 'util-linux',
  unshare: 'util-linux',
  mount: 'mount',
  ip: 'iproute2',
  nft: 'nftables',
  pasta: 'passt',
  nsenter: 'util-linux',
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.btrfs': 'btrfs-progs',
};

const has = (program: string): boolean =>
  `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin${delimiter}/sbin`
    .split(delimiter)
    .some((dir) => dir !== '' && existsSync(join(dir, program)));

export const needs = {
  /** The initial user's rights. */
  root(): Need {
    return process.getuid?.() !== 0 && 'needs root';
  },

  /** A user without rights, to test what happens then. */
  unprivileged(): Need {
    return process.getuid?.() === 0 && 'cannot here: running as root';
  },

  /** Programs in the path (and the sbin directories). */
  program(...programs: string[]): Need {
    const absent = programs.filter((program) => !has(program));
    return absent.length > 0 && `needs ${absent.map((name) => debianPackages[name] ?? name).join(', ')}`;
  },

  /** A kernel not older than "5.14". */
  kernel(version: string): Need {
    const parts = (text: string): number[] => text.split(/[.-]/).slice(0, 2).map(Number);
    const [major = 0, minor = 0] = parts(release());
    const [wantMajor = 0, wantMinor = 0] = parts(version);
    return (
      (major < wantMajor || (major === wantMajor && minor < wantMinor)) &&
      `cannot here: kernel ${version} is needed, this is ${release()}`
    );
  },

  /** A file system type in /proc/filesystems. */
  filesystem(type: string): Need {
    return (
      !new RegExp(`\\t${type}$`, 'm').test(readFileSync('/proc/filesystems', 'utf8')) &&
      `cannot here: the kernel has no ${type}`
    );
  },

  /** A file, directory or device. */
  path(path: string): Need {
    return !existsSync(path) && `cannot here: there is no ${path}`;
  },
} as const;
