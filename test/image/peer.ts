import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Lab } from '../engine/lab.ts';
import { needs, type Need } from '../support/needs.ts';

/** Podman works here. Debian's crun refuses a machine with cgroups of both versions, so it runs runc. */
export const canPodman: Need = needs.program('podman', 'runc', 'buildah');

/** The command line of podman or buildah on the lab's own image store. */
export function peerLine(lab: Lab, program: 'podman' | 'buildah', ...args: string[]): string[] {
  const { storageRoot, storageRunRoot } = lab.options;
  const own =
    program === 'podman'
      ? [
          '--tmpdir',
          join(lab.dir, 'podman'),
          '--cgroup-manager',
          'cgroupfs',
          '--events-backend',
          'none',
          '--runtime',
          'runc',
        ]
      : [];
  const roots = ['--root', storageRoot, '--runroot', storageRunRoot, '--storage-driver', 'overlay'];
  return [program, ...roots, ...own, ...args];
}

/** Runs podman or buildah on the lab's own image store and returns what it prints. Fails the test when it fails. */
export function peer(lab: Lab, program: 'podman' | 'buildah', ...args: string[]): string {
  const argv = peerLine(lab, program, ...args).slice(1);
  const result = spawnSync(program, argv, { encoding: 'utf8', cwd: lab.dir, timeout: 60_000, killSignal: 'SIGKILL' });
  assert.equal(result.status, 0, `${program} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

/** `podman run --rm` on the lab's store, in the lab's cgroup. */
export function podmanRun(lab: Lab, image: string, ...argv: string[]): string {
  const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096'];
  return peer(
    lab,
    'podman',
    'run',
    '--rm',
    '--network',
    'none',
    '--cgroup-parent',
    lab.cgroupParent,
    ...limits,
    image,
    ...argv,
  );
}
