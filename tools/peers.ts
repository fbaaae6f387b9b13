/**
 * Sets up Debian testing's container tools beside the system, and runs commands in there.
 *
 *   tools/node tools/peers.ts setup [--root DIR] [--suite NAME] [--mirror URL]
 *   tools/node tools/peers.ts run [--root DIR] [--] COMMAND [ARG…]
 *   tools/node tools/peers.ts remove [--root DIR]
 *
 * The root (default .cache/peers) is made by mmdebstrap from the mirror this machine is configured for. `run` gives the command its own
 * mount namespace whose root really is that folder (pivot_root, not chroot: container engines pivot_root themselves, which a chroot
 * forbids), with /proc, /sys (so /sys/fs/cgroup), /dev, /tmp and this repository at their usual paths, and a fresh /run.
 * Needs root. Nothing outside the folder changes, and no mount outlives the command.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../src/base/errors.ts';
import { ensurePackages } from './_packages.ts';

const repository = dirname(import.meta.dirname);

/** Where `setup` puts the peers when no folder is named. */
export const defaultPeersRoot: string = join(repository, '.cache/peers');

/** The engines, what they need to run a container, what the bench needs (busybox-static), and what the pinned Node links to. */
const packages = [
  'podman',
  'buildah',
  'skopeo',
  'crun',
  'runc',
  'containerd',
  'docker.io',
  'docker-cli',
  'conmon',
  'netavark',
  'catatonit',
  'golang-github-containers-common',
  'passt',
  'iptables',
  'nftables',
  'busybox-static',
  'ca-certificates',
  'iproute2',
  'libatomic1',
  'libstdc++6',
  'mount',
  'uidmap',
  'procps',
  'python3-minimal',
  'util-linux',
];

const unneeded = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*'];

/** A Debian archive this machine already uses. */
export interface Mirror {
  readonly url: string;
  readonly signedBy?: string;
}

/**
 * Finds the Debian archive in the text of apt's source files (one-line and deb822 styles): the first enabled binary source with component main whose
 * path ends in /debian. Third-party and security archives are passed over.
 */
export function findMirror(files: readonly { readonly name: string; readonly text: string }[]): Mirror | undefined {
  for (const { name, text } of files) {
    for (const source of name.endsWith('.sources') ? deb822(text) : oneLine(text)) {
      const url = source.urls.find((u) => /^https?:\/\/.*\/debian\/?$/.test(u));
      if (url !== undefined && source.components.includes('main')) {
        return source.signedBy === undefined ? { url } : { url, signedBy: source.signedBy };
      }
    }
  }
  return undefined;
}

interface AptSource {
  readonly urls: readonly string[];
  readonly components: readonly string[];
  readonly signedBy: string | undefined;
}

function deb822(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const lines = stanza.split('\n').filter((line) => !line.startsWith('#'));
    const field = (key: string): string | undefined =>
      lines
        .find((line) => line.toLowerCase().startsWith(`${key}:`))
        ?.slice(key.length + 1)
        .trim();
    const words = (key: string): string[] => (field(key) ?? '').split(/\s+/).filter((word) => word !== '');
    if (!words('types').includes('deb') || field('enabled')?.toLowerCase() === 'no') return [];
    const signedBy = field('signed-by');
    // A Signed-By may hold a whole key instead of a path; such an entry is left to apt's own trust.
    return [
      {
        urls: words('uris'),
        components: words('components'),
        signedBy: signedBy?.startsWith('/') ? signedBy : undefined,
      },
    ];
  });
}

function oneLine(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+\S+\s+(.*)$/.exec(line.trim());
    if (match === null) return [];
    const [, options = '', url = '', components = ''] = match;
    return [{ urls: [url], components: components.split(/\s+/), signedBy: /signed-by=(\/[^\s,]+)/.exec(options)?.[1] }];
  });
}

/** The Debian archive that this machine is configured for. */
export function configuredMirror(): Mirror | undefined {
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder)
    ? readdirSync(folder)
        .sort()
        .map((name) => join(folder, name))
    : [];
  const files = ['/etc/apt/sources.list', ...names].filter(
    (name) => existsSync(name) && /\.(list|sources)$/.test(name),
  );
  return findMirror(files.map((name) => ({ name, text: readFileSync(name, 'utf8') })));
}

/** What the machine's apt says about proxies and dates also holds for the new root: mmdebstrap starts from an empty apt configuration. */
export function machineAptOptions(): string[] {
  const { stdout } = spawnSync('apt-config', ['dump'], { encoding: 'utf8' });
  return (stdout ?? '')
    .split('\n')
    .filter((line) => /^Acquire::(Check-Valid-Until|Check-Date|https?::Proxy|Retries)\b.* "[^"]+";$/.test(line));
}

/** What `nice` returns for a program that is not there. */
const NOT_FOUND = 127;

function setup(root: string, suite: string, mirror: Mirror): void {
  if (existsSync(root))
    throw new Error(`Cannot set up peers in ${root}: it exists (tools/peers.ts remove takes it away)`);
  mkdirSync(dirname(root), { recursive: true });
  const work = mkdtempSync(join(dirname(root), `${basename(root)}.partial-`));
  try {
    const partial = join(work, 'root');
    const args = [
      '--mode=root',
      '--variant=minbase',
      '--format=directory',
      `--include=${packages.join(',')}`,
      ...machineAptOptions().map((option) => `--aptopt=${option}`),
      ...unneeded.map((pattern) => `--dpkgopt=path-exclude=${pattern}`),
      ...(mirror.signedBy === undefined ? [] : [`--keyring=${mirror.signedBy}`]),
      suite,
      partial,
      mirror.url,
    ];
    const { status, error } = spawnSync('nice', ['-n', '19', 'mmdebstrap', ...args], { stdio: 'inherit' });
    if (error !== undefined) throw new Error(`Cannot run nice: ${error.message}`);
    if (status === NOT_FOUND) throw new Error('Cannot run mmdebstrap (Debian: apt-get install mmdebstrap)');
    if (status !== 0) throw new Error(`Cannot set up peers: mmdebstrap ended with ${status}`);
    mkdirSync(join(partial, '.old'), { mode: 0o700 });
    writeFileSync(join(partial, 'etc/tare-peers'), `${suite} from ${mirror.url}\n`);
    renameSync(partial, root);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Arguments: root, repository, working directory, then the command. Only what exists here is mounted there. */
const enterScript = `
root=$1 repository=$2 directory=$3
shift 3
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount --rbind /tmp "$root/tmp"
mkdir -p "$root$repository" "$root/run/lock"
mount --bind "$repository" "$root$repository"
if [ -e /etc/resolv.conf ]; then
  [ -e "$root/etc/resolv.conf" ] || : > "$root/etc/resolv.conf"
  mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
fi
cd "$root"
pivot_root . .old
umount -l /.old
cd "$directory" 2>/dev/null || cd /
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec "$@"
`;

/**
 * The command line that runs `command` with the peers' root as its root. `directory` is where it starts (/ when it does not exist there).
 * Errors: Error when `root` is no peers root.
 */
export function insidePeers(root: string, directory: string, command: readonly string[]): string[] {
  if (!existsSync(join(root, '.old'))) {
    throw new Error(`Cannot use the peers in ${root}: not set up (tools/node tools/peers.ts setup --root ${root})`);
  }
  return [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    'sh',
    '-ec',
    enterScript,
    'peers',
    root,
    repository,
    directory,
    ...command,
  ];
}

function run(root: string, command: readonly string[]): number {
  const [program = '', ...args] = insidePeers(root, process.cwd(), command);
  // The terminal's signals reach the command itself; we only wait for it.
  for (const name of ['SIGINT', 'SIGQUIT'] as const) process.on(name, () => {});
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' });
  if (error !== undefined) throw new Error(`Cannot run ${program}: ${error.message}`);
  return status ?? 1;
}

function remove(root: string): void {
  if (!existsSync(root)) return;
  if (!existsSync(join(root, 'etc/tare-peers')) || lstatSync(root).isSymbolicLink()) {
    throw new Error(`Cannot remove ${root}: it was not made by tools/peers.ts`);
  }
  rmSync(root, { recursive: true });
}

const usage =
  'usage: tools/node tools/peers.ts setup|run|remove [--root DIR] [--suite NAME] [--mirror URL] [-- COMMAND ARG…]';

async function main(argv: readonly string[]): Promise<number> {
  const [verb, ...rest] = argv;
  let root = defaultPeersRoot;
  let suite = 'testing';
  let mirrorUrl: string | undefined;
  while (rest[0]?.startsWith('--')) {
    const flag = rest.shift();
    if (flag === '--') break;
    const value = rest.shift();
    if (value === undefined) throw new Error(usage);
    if (flag === '--root') root = resolve(value);
    else if (flag === '--suite') suite = value;
    else if (flag === '--mirror') mirrorUrl = value;
    else throw new Error(`unknown option ${flag}\n${usage}`);
  }
  if (verb !== 'run' && rest.length > 0) throw new Error(usage);
  if (verb === 'remove') return (remove(root), 0);
  if (verb === 'run' && rest.length > 0) return run(root, rest);
  if (verb !== 'setup') throw new Error(usage);
  const configured = configuredMirror();
  const mirror = mirrorUrl === undefined ? configured : { ...configured, url: mirrorUrl };
  if (mirror === undefined)
    throw new Error('Cannot choose a mirror: no Debian archive in /etc/apt/sources.list*; name one with --mirror URL');
  await ensurePackages(['mmdebstrap'], dirname(import.meta.dirname), (line) => console.error(`tare peers: ${line}`));
  setup(root, suite, mirror);
  return 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(`tare peers: ${messageOf(error)}`);
    process.exitCode = 1;
  }
}
