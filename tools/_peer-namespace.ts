import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';

/** In the environment of a process that is in its own mount namespace already. */
const MARK = 'TARE_LANE_NAMESPACE';

/**
 * Puts the lane in a mount namespace of its own, where the peers find all they want (crun refuses to run without the hugetlb hierarchy).
 * Returns the exit code of the lane run again inside, or undefined when this is the inside, or where it cannot be done: then the lane goes on here.
 */
export function inPeerNamespace(say: (line: string) => void): number | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (process.env[MARK] !== undefined) {
    mountHugetlb(say);
    return undefined;
  }
  const argv = ['--mount', '--propagation', 'private', process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const { status, error } = spawnSync('unshare', argv, { stdio: 'inherit', env: { ...process.env, [MARK]: '1' } });
  if (error) {
    say(`no mount namespace of its own: ${error.message}`);
    return undefined;
  }
  return status ?? 1;
}

/** A new tmpfs takes the place of the machine's over /sys/fs/cgroup, with the same hierarchies bound into it and hugetlb beside them. */
function mountHugetlb(say: (line: string) => void): void {
  const root = '/sys/fs/cgroup';
  const isV1 = existsSync(`${root}/memory`) || existsSync(`${root}/cpu`);
  if (!isV1 || existsSync(`${root}/hugetlb`) || !/^hugetlb\s.*\s1$/m.test(readFileSync('/proc/cgroups', 'utf8')))
    return;
  const mount = (...args: string[]): boolean => {
    const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
    if (status !== 0) say(`no hugetlb hierarchy for the peers: mount ${args.join(' ')}: ${stderr.trim()}`);
    return status === 0;
  };
  const stage = mkdtempSync('/tmp/tare-lane-cgroup-');
  // Built on a private tmpfs over the new directory, then moved: the machine's own tmpfs gets no new entry.
  if (!mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', stage)) return;
  for (const name of readdirSync(root)) {
    const from = `${root}/${name}`;
    if (lstatSync(from).isSymbolicLink()) symlinkSync(readlinkSync(from), `${stage}/${name}`);
    else {
      mkdirSync(`${stage}/${name}`);
      if (!mount('--rbind', from, `${stage}/${name}`)) return;
    }
  }
  mkdirSync(`${stage}/hugetlb`);
  if (!mount('-t', 'cgroup', '-o', 'hugetlb', 'cgroup', `${stage}/hugetlb`)) return;
  mount('--move', stage, root);
  spawnSync('rmdir', [stage]);
}
