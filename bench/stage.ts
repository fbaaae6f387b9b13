import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { basename, join } from 'node:path';
import { insidePeers } from '../tools/peers.ts';
import { removeCgroups } from './cgroups.ts';

/** Compiles the bench's C programs into `target`. Errors: Error naming the Debian package when there is no compiler. */
export function compilePrograms(repository: string, target: string, cc: string): void {
  const flags = ['-std=c17', '-O2', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE', '-static'];
  for (const name of ['timer', 'floor']) {
    const args = [...flags, '-o', join(target, name), join(repository, 'bench', `${name}.c`)];
    const { status, error } = spawnSync(cc, args, { stdio: 'inherit' });
    if (error !== undefined)
      throw new Error(`Cannot compile bench/${name}.c: no C compiler (Debian: apt-get install gcc libc6-dev)`);
    if (status !== 0) throw new Error(`Cannot compile bench/${name}.c: see the messages above`);
  }
}

/**
 * The first process of the bench's pid namespace: makes the machine look as the peers need it, in a mount namespace of its own, runs
 * the command and reaps what the engines leave. The engines' fixed places (/run, /dev/shm, /var/lib/containers) become private; what else is
 * in /run (a docker socket) stays visible. The network is a new one, of loopback alone: bridges and rules of the engines are in nobody's way. A disk of our own is mounted where stage 1 made one. On cgroup v1, crun wants the hugetlb hierarchy: it is mounted beside the others, on a private tmpfs.
 */
const stageScript = `
dir=$1
shift
mkdir "$dir/run" "$dir/cgroup"
busybox ip link set lo up
mount -t tmpfs -o mode=755 tmpfs "$dir/run"
for path in /run/*; do
  name=\${path##*/}
  case $name in containers | libpod | crun | runc | netns) continue ;; esac
  if [ -h "$path" ]; then cp -P "$path" "$dir/run/$name"
  elif [ -d "$path" ]; then mkdir "$dir/run/$name" && mount --rbind "$path" "$dir/run/$name"
  elif [ -e "$path" ]; then : > "$dir/run/$name" && mount --bind "$path" "$dir/run/$name"
  fi
done
mount --move "$dir/run" /run
[ ! -d "$dir/disk" ] || mount -o loop,noinit_itable "$dir/disk.img" "$dir/disk"
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
[ ! -d /var/lib/containers ] || mount -t tmpfs tmpfs /var/lib/containers
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] && [ ! -d /sys/fs/cgroup/hugetlb ] && grep -q '^hugetlb.*1$' /proc/cgroups; then
  mount -t tmpfs -o mode=755 tmpfs "$dir/cgroup"
  for path in /sys/fs/cgroup/*; do
    if [ -h "$path" ]; then cp -P "$path" "$dir/cgroup/"
    elif [ -d "$path" ]; then mkdir "$dir/cgroup/\${path##*/}" && mount --rbind "$path" "$dir/cgroup/\${path##*/}"
    fi
  done
  mkdir "$dir/cgroup/hugetlb"
  mount -t cgroup -o hugetlb cgroup "$dir/cgroup/hugetlb" || rmdir "$dir/cgroup/hugetlb"
  mount --move "$dir/cgroup" /sys/fs/cgroup
fi
set +e
"$@"
exit $?
`;

/** What stage 1 says to have stage 2 end. A connection that closes without it means that stage 1 is dead: stage 2 then removes the directory, too. */
const cleanUpOnly = '.';

/** Stage 2's side of fd 3: aborts `abort` when stage 1 wants the end or is dead. */
export function watchOwner(abort: AbortController): { readonly dead: boolean } {
  let [told, closed] = [false, false];
  const owner = new Socket({ fd: 3, readable: true, writable: false });
  owner.on('data', () => (told = true));
  owner.on('error', () => {}); // Followed by close.
  owner.on('close', () => {
    closed = true;
    abort.abort(new Error('interrupted'));
  });
  owner.unref();
  return {
    get dead() {
      return closed && !told;
    },
  };
}

/** How stage 2 is started. */
export interface StageOptions {
  /** Private directory of this run. */
  readonly dir: string;
  /** Where the command starts. */
  readonly directory: string;
  readonly peers?: string;
  readonly environment: NodeJS.ProcessEnv;
  /** Aborts the run: the command gets to clean up, then its namespace ends. */
  readonly signal: AbortSignal;
}

/**
 * Runs `command` as stage 2 of the bench: own pid, mount and network namespace, the peers' root if asked for, and on its fd 3 a connection that closes
 * when we die or are aborted. Resolves to its exit code. When it has ended, so has every process it left, and its cgroups are gone.
 */
export async function runStage(command: readonly string[], options: StageOptions): Promise<number> {
  const { dir, directory, peers, environment, signal } = options;
  const script = ['sh', '-ec', stageScript, 'bench', dir, ...command];
  const namespaces = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    '--net',
    ...script,
  ];
  const [program = '', ...args] = peers === undefined ? namespaces : insidePeers(peers, directory, namespaces);
  const env = { ...environment, PODMAN_IGNORE_CGROUPSV1_WARNING: '1' };
  const child = spawn(program, args, { stdio: ['inherit', 'inherit', 'inherit', 'pipe'], cwd: directory, env });
  const owner = child.stdio[3];
  const abort = (): void => {
    if (owner instanceof Socket) owner.end(cleanUpOnly);
    setTimeout(() => child.kill('SIGKILL'), 60_000).unref();
  };
  signal.addEventListener('abort', abort, { once: true });
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } finally {
    signal.removeEventListener('abort', abort);
    if (owner instanceof Socket) owner.destroy();
    removeCgroups(`/${basename(dir)}`);
    releaseHugetlb(dir);
  }
}

/**
 * Lets go of the hugetlb hierarchy that stage 2 may have mounted. The kernel keeps a v1 hierarchy whose cgroups were not yet freed when it was
 * unmounted, and shows it to every process; mounting and unmounting it once more ends it, unless somebody else has it mounted.
 */
function releaseHugetlb(dir: string): void {
  if (!/^hugetlb\s+[1-9]/m.test(readFileSync('/proc/cgroups', 'utf8'))) return;
  if (/ - cgroup \S+ \S*\bhugetlb\b/.test(readFileSync('/proc/self/mountinfo', 'utf8'))) return;
  const script = `
    mkdir -p "$1/h" && mount -t cgroup -o hugetlb cgroup "$1/h" || exit 0
    i=0
    while [ $((i += 1)) -le 50 ]; do
      find "$1/h/$2" -depth -type d -exec rmdir {} + 2>/dev/null
      grep -q '^hugetlb[[:space:]]*[0-9]*[[:space:]]*1[[:space:]]' /proc/cgroups && break
      sleep 0.1
    done
    umount "$1/h"`;
  spawnSync('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script, 'bench', dir, basename(dir)]);
}
