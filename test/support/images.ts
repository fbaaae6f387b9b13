/** Images that tests run and pull, as OCI layouts in a cache that outlives the run: /var/tmp/tare-test-cache, keyed by what they are made of. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { blobsOf, buildImage, writeLayout, type BuiltImage } from './image.ts';
import { needs } from './needs.ts';
import { tarOf, type TarEntry } from './tar.ts';

/** An image in an OCI layout: `oci:${layout}:${name}`. */
export interface TestImage {
  readonly layout: string;
  readonly name: string;
  /** For `tare pull` and `skopeo copy`. */
  readonly source: string;
}

const uid = process.getuid?.() ?? 0;
/** In the namespace of an unprivileged user, who is root there, the id outside. */
const owner = Number(process.env['TARE_ROOTLESS']?.split(' ')[0] ?? uid);
/** Root's and each user's own: images are only read from where nobody else can write. */
const cache = `/var/tmp/tare-test-cache${owner === 0 ? '' : `-${owner}`}`;
/** How images are written is part of what they are. */
const form = ['image', 'tar'].map((name) =>
  readFileSync(join(import.meta.dirname, `${name}${extname(import.meta.filename)}`)),
);
const busybox = '/bin/busybox';

/** The reason why `busyboxImage` cannot be made here, or false. */
export function noBusybox(): string | false {
  return !existsSync(busybox) && 'not installed: busybox-static';
}

/** The reason why `debianImage` cannot be made here, or false. */
export function noDebian(): string | false {
  return needs.root() || needs.program('mmdebstrap');
}

/** A small image: Debian's static busybox with all its applets, `sh` as command, user root. */
export async function busyboxImage(): Promise<TestImage> {
  const program = readFileSync(busybox);
  return cached('busybox', [program, readFileSync(import.meta.filename), ...form], async (dir) =>
    writeImage(dir, 'busybox', buildBusybox(program)),
  );
}

/** A Debian bookworm root file system (`essential`: about 140 MB, 5,000 files) made by mmdebstrap from the machine's own package sources, bash as command. */
export async function debianImage(): Promise<TestImage> {
  return debianWith('debian', ['--variant=essential'], []);
}

/** Where postgres lets everybody in who comes by a network of containers. */
const openToAll = tarOf([
  { name: 'etc/open-hba.conf', content: 'local all all trust\nhost all all all trust\n', mode: 0o644 },
]);

/** Debian's postgres 15, redis and nginx (about 500 MB). Postgres has its cluster in /var/lib/postgresql/15/main. */
export async function servicesImage(): Promise<TestImage> {
  const packages = 'postgresql,redis-server,nginx-light';
  return debianWith('services', ['--variant=minbase', `--include=${packages}`], [openToAll]);
}

/** What starts the services of `servicesImage` in the foreground; postgres as the user `postgres`. */
export const serviceCommands = {
  postgres: [
    ...['/usr/lib/postgresql/15/bin/postgres', '-D', '/var/lib/postgresql/15/main'],
    ...['-c', 'config_file=/etc/postgresql/15/main/postgresql.conf', '-c', 'hba_file=/etc/open-hba.conf'],
    ...['-c', 'listen_addresses=*', '-c', 'unix_socket_directories=/tmp', '-c', 'max_connections=300'],
  ],
  redis: ['redis-server', '--bind', '*', '--protected-mode', 'no'],
  nginx: ['nginx', '-g', 'daemon off;'],
} as const;

async function debianWith(name: string, what: readonly string[], more: readonly Uint8Array[]): Promise<TestImage> {
  const recipe = [...what, '--mode=root', '--format=tar', 'bookworm'];
  return cached(name, [recipe.join(' '), ...more, ...form], async (dir) => {
    const tar = join(dir, 'root.tar');
    await promisify(execFile)('mmdebstrap', ['--quiet', ...recipe, tar], {
      env: { ...process.env, SOURCE_DATE_EPOCH: '1767225600' },
    });
    const image = buildImage({
      layers: [readFileSync(tar), ...more],
      config: { Cmd: ['bash'], Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] },
    });
    rmSync(tar);
    writeImage(dir, name, image);
  });
}

/** The busybox image in memory. */
export function buildBusybox(program: Uint8Array = readFileSync(busybox)): BuiltImage {
  const directory = (name: string, mode = 0o755): TarEntry => ({ name: `${name}/`, type: 'directory', mode });
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n');
  const layer = tarOf([
    ...['bin', 'dev', 'etc', 'home', 'proc', 'sys', 'usr', 'usr/bin', 'var'].map((name) => directory(name)),
    directory('root', 0o700),
    directory('tmp', 0o1777),
    { name: 'bin/busybox', content: program, mode: 0o755 },
    ...applets
      .filter((name) => name !== 'busybox')
      .map((name): TarEntry => ({ name: `bin/${name}`, type: 'symlink', link: 'busybox' })),
    {
      name: 'etc/passwd',
      content:
        'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\nuser:x:1000:1000::/home:/bin/sh\n',
    },
    { name: 'etc/group', content: 'root:x:0:\nstaff:x:50:user\nnogroup:x:65534:\nuser:x:1000:\n' },
  ]);
  return buildImage({ layers: [layer], config: { Cmd: ['sh'], Env: ['PATH=/usr/bin:/bin', 'FROM_IMAGE=yes'] } });
}

function writeImage(dir: string, name: string, image: BuiltImage): void {
  writeLayout(dir, blobsOf(image), { [name]: image.manifest });
}

/** Makes the layout once for each content of `key`. Two processes may make it at a time: one of the two is kept. */
async function cached(
  name: string,
  key: readonly (string | Uint8Array)[],
  make: (dir: string) => Promise<void>,
): Promise<TestImage> {
  mkdirSync(cache, { recursive: true, mode: 0o755 });
  // A stranger's directory in a place where everybody may write is not ours to read images from.
  if (!lstatSync(cache).isDirectory() || lstatSync(cache).uid !== uid)
    throw new Error(`${cache} is not a directory of this user`);
  const hash = createHash('sha256');
  for (const part of key) hash.update(part);
  const layout = join(cache, `${name}-${hash.digest('hex').slice(0, 16)}`);
  if (!existsSync(layout)) {
    const dir = mkdtempSync(join(cache, '.new-'));
    try {
      await make(dir);
      renameSync(dir, layout);
    } catch (error) {
      if (!existsSync(layout)) throw error;
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
  return { layout, name, source: `oci:${layout}:${name}` };
}
