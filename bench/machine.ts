import { execFileSync } from 'node:child_process';
import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import type { Lab } from './lab.ts';
import { describeDisk } from './own-disk.ts';

/** What the figures depend on. */
export interface Machine {
  readonly kernel: string;
  readonly cpu: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cgroup: 'v1' | 'v2' | 'hybrid';
  readonly system: string;
  /** What the engines keep their files on. */
  readonly disk: string;
  /** Load of the last minute before the first case: above about half a CPU, the figures are noise. */
  readonly load: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** Which sources were measured. */
export interface Sources {
  readonly commit: string;
  /** True when the checkout has changes that are not committed. */
  readonly changed: boolean;
}

/** Describes the machine and the installed peers. */
export async function describeMachine(lab: Lab): Promise<Machine> {
  const versions: Record<string, string> = { node: process.version };
  for (const name of ['podman', 'crun', 'runc', 'docker', 'dockerd', 'conmon', 'containerd']) {
    try {
      versions[name] = (await lab.run([lab.program(name), '--version'])).split('\n')[0] ?? '';
    } catch {
      // Not installed: the rows say so.
    }
  }
  const osRelease = readFileSync('/etc/os-release', 'utf8');
  return {
    kernel: release(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    cgroup: cgroupVersion(),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(osRelease)?.[1] ?? 'unknown',
    disk: describeDisk(lab.dir),
    load: loadavg()[0] ?? NaN,
    versions,
  };
}

/** Reads the commit by git, which the peers' root does not have: ask before entering it. */
export function describeSources(repository: string): Sources {
  const git = (...args: string[]): string =>
    execFileSync('git', ['--no-optional-locks', '-C', repository, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    return { commit: git('rev-parse', 'HEAD'), changed: git('status', '--porcelain') !== '' };
  } catch {
    return { commit: 'unknown', changed: true };
  }
}

function cgroupVersion(): Machine['cgroup'] {
  const cgroup2Magic = 0x63677270;
  if (statfsSync('/sys/fs/cgroup').type === cgroup2Magic) return 'v2';
  return / - cgroup2 /.test(readFileSync('/proc/self/mountinfo', 'utf8')) ? 'hybrid' : 'v1';
}
