import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { configuredMirror, machineAptOptions, type Mirror } from '../peers.ts';
import { cpio } from './cpio.ts';
import * as root from './root.ts';

/** A built machine, ready to be booted any number of times: nobody writes to it. */
export interface VmImage {
  readonly kernel: string;
  readonly initrd: string;
  /** Raw ext4. */
  readonly root: string;
}

const DISK_BYTES = 6 * 2 ** 30;
const cache = join(import.meta.dirname, '../../.cache/vm');

/**
 * The image for today's list of packages and today's Debian, from .cache/vm or newly built (a minute and a half; needs root and mmdebstrap).
 * Without a network the newest image that was built from the same list serves. Two builders at once do no harm: one result is kept.
 *
 * Errors: Error with what failed.
 */
export async function vmImage(say: (line: string) => void): Promise<VmImage> {
  const { packages, suite, kernelPackage } = root;
  const recipe = digest({ packages, suite, kernelPackage, kernelHook });
  const built = existsSync(cache) ? readdirSync(cache).filter((name) => name.startsWith(`${recipe}-`)) : [];
  const mirror = configuredMirror();
  if (mirror === undefined) throw new Error('Cannot choose a mirror: no Debian archive in /etc/apt/sources.list*');
  const date = await suiteDate(mirror);
  const newest = built.sort().at(-1);
  if (date === undefined && newest === undefined)
    throw new Error(`Cannot build the image of the virtual machine: ${mirror.url} does not answer`);
  const base = join(cache, date === undefined ? (newest ?? '') : `${recipe}-${date}`);
  const tree = join(base, 'tree');
  if (!existsSync(tree)) {
    say(`building the virtual machine's root (${packages.length} Debian packages)`);
    once(tree, (partial) => debootstrap(partial, mirror));
    for (const name of readdirSync(cache))
      if (/^[0-9a-f]{12}-/.test(name) && join(cache, name) !== base)
        rmSync(join(cache, name), { recursive: true, force: true });
  }
  const dir = join(base, digest(root));
  if (!existsSync(dir)) once(dir, (partial) => assemble(tree, partial));
  return { kernel: join(dir, 'vmlinuz'), initrd: join(dir, 'initrd'), root: join(dir, 'root.img') };
}

const digest = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);

/** Makes a directory aside and renames it: it is there whole or not at all, and the first of two makers wins. */
function once(dir: string, make: (partial: string) => void): void {
  mkdirSync(dirname(dir), { recursive: true });
  const work = mkdtempSync(join(dirname(dir), 'partial-'));
  try {
    make(join(work, 'made'));
    renameSync(join(work, 'made'), dir);
  } catch (error) {
    if (!existsSync(dir)) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** When the suite was published, as a file name; undefined when nobody answers. */
async function suiteDate({ url }: Mirror): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url.replace(/\/$/, '')}/dists/${root.suite}/Release`, {
      signal: AbortSignal.timeout(20_000),
    });
    const date = /^Date: (.+)$/m.exec(await answer.text())?.[1];
    return date === undefined ? undefined : new Date(date).toISOString().slice(0, 16).replace(':', '');
  } catch {
    return undefined;
  }
}

/** Kernel, initrd and disk from the packages' files, which stay as they are. */
function assemble(tree: string, out: string): void {
  mkdirSync(out);
  const modules = join(tree, 'usr/lib/modules', readdirSync(join(tree, 'usr/lib/modules'))[0] ?? '');
  const kernel = readdirSync(join(tree, 'boot')).find((name) => name.startsWith('vmlinuz'));
  if (kernel === undefined) throw new Error(`Cannot find a kernel: ${root.kernelPackage} brought none`);
  cpSync(join(tree, 'boot', kernel), join(out, 'vmlinuz'));
  writeFileSync(join(out, 'initrd'), initrd(tree, modules));
  const furnished = join(out, 'tree');
  // Where mmdebstrap left something mounted, that is not copied.
  run('cp', ['-a', '--one-file-system', '--reflink=auto', tree, furnished]);
  furnish(furnished);
  diskOf(furnished, join(out, 'root.img'), DISK_BYTES);
  rmSync(furnished, { recursive: true });
}

/** The kernel's files are unpacked over the root as they are: /lib is a link, and its package would build an initrd. */
const kernelHook = `
cd "$1/tmp"
chroot "$1" sh -c 'cd /tmp && apt-get download $(apt-cache depends ${root.kernelPackage} | sed -n "s/.*Depends: //p")'
dpkg-deb --fsys-tarfile linux-image-*.deb | tar -x --keep-directory-symlink -C "$1"
rm linux-image-*.deb
chroot "$1" /sbin/depmod $(ls "$1/usr/lib/modules")
`;

function debootstrap(tree: string, mirror: Mirror): void {
  const unneeded = ['doc', 'man', 'locale', 'info'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
  run('nice', [
    'mmdebstrap',
    '--quiet',
    '--mode=root',
    '--variant=minbase',
    '--format=directory',
    `--include=${root.packages.join(',')}`,
    ...machineAptOptions().map((option) => `--aptopt=${option}`),
    ...unneeded,
    ...(mirror.signedBy === undefined ? [] : [`--keyring=${mirror.signedBy}`]),
    `--customize-hook=${kernelHook}`,
    root.suite,
    tree,
    mirror.url,
  ]);
}

function furnish(tree: string): void {
  const units = join(tree, 'etc/systemd/system');
  for (const unit of root.maskedUnits) {
    rmSync(join(units, unit), { force: true });
    symlinkSync('/dev/null', join(units, unit));
  }
  for (const [path, text] of Object.entries(root.rootFiles)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    rmSync(join(tree, path), { force: true });
    writeFileSync(join(tree, path), text);
  }
  const wants = join(units, 'multi-user.target.wants');
  mkdirSync(wants, { recursive: true });
  symlinkSync('../tare-agent.service', join(wants, 'tare-agent.service'));
  mkdirSync(join(tree, root.guestCheckout));
  run('chroot', [tree, '/usr/sbin/useradd', '--create-home', '--shell', '/bin/bash', root.guestUser]);
}

function initrd(tree: string, modules: string): Buffer {
  const file = (name: string, mode: number, data: Uint8Array) => ({ name, mode: 0o100000 | mode, data });
  const found = readdirSync(modules, { recursive: true, encoding: 'utf8' });
  const wanted = root.bootModules.flatMap((name) => {
    const path = found.find((entry) => entry.endsWith(`/${name}.ko`));
    // Built in.
    return path === undefined ? [] : [file(`m/${name}.ko`, 0o644, readFileSync(join(modules, path)))];
  });
  const dirs = ['bin', 'dev', 'm', 'newroot'].map((name) => ({ name, mode: 0o040755, data: new Uint8Array() }));
  return gzipSync(
    cpio([
      ...dirs,
      file('bin/busybox', 0o755, readFileSync(join(tree, 'usr/bin/busybox'))),
      file('init', 0o755, Buffer.from(root.initScript)),
      ...wanted,
    ]),
  );
}

/** A sparse ext4 image with a tree's files. Errors: Error. */
export function diskOf(tree: string, path: string, bytes: number): void {
  writeFileSync(path, '');
  truncateSync(path, bytes);
  run('mke2fs', ['-q', '-t', 'ext4', '-E', 'lazy_itable_init=1,lazy_journal_init=1', '-d', tree, path]);
}

function run(program: string, args: readonly string[]): void {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, PATH: path } });
  if (status !== 0)
    throw new Error(`Cannot build the virtual machine: ${program} ${args[0] ?? ''}: ${error?.message ?? stderr}`);
}
