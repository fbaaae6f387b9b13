/** Places where the kernel refuses overlays, and an image with all that layers can remove. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxEntries } from './busybox.ts';
import { blobsOf, buildImage, writeLayout } from './image.ts';
import { tarOf } from './tar.ts';

/** Commands that make `dir` a place whose file system can carry no writable layer: an overlay itself. Its own layers are in `parts`. */
export function overlayOn(dir: string, parts: string): string[][] {
  const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => join(parts, name));
  return [
    ['mkdir', '-p', dir, lower ?? '', upper ?? '', work ?? ''],
    ['mount', '-t', 'overlay', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`, dir],
  ];
}

/** Does it here. */
export function mountOverlayOn(dir: string, parts: string): void {
  for (const [program = '', ...args] of overlayOn(dir, parts)) {
    const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  }
}

/**
 * Writes `oci:DIR:t`: a layer, and one on it that removes a file and a directory, and replaces two directories, one of them (`replaced`) by a whiteout of its name: podman loses that one where
 * fuse-overlayfs mounts its layers.
 */
export function writeLayeredImage(dir: string, replaced: 'by whiteout' | 'opaque' = 'by whiteout'): string {
  const applets = ['sh', 'cat', 'ls', 'stat', 'rm', 'mkdir', 'touch', 'sleep', 'true', 'mv', 'id', 'head', 'test'];
  const base = tarOf([
    ...busyboxEntries(...applets),
    { name: 'home/', type: 'directory' },
    { name: 'home/u', content: 'u', uid: 1000, gid: 50, mode: 0o640 },
    { name: 'd/', type: 'directory' },
    { name: 'd/old', content: 'old' },
    { name: 'e/', type: 'directory' },
    { name: 'e/old', content: 'old' },
    { name: 'f/', type: 'directory' },
    { name: 'f/deep/', type: 'directory' },
    { name: 'f/deep/old', content: 'old' },
    { name: 'gone', content: 'x' },
  ]);
  const top = tarOf([
    { name: 'd/', type: 'directory' },
    { name: 'd/.wh..wh..opq', content: '' },
    { name: 'd/new', content: 'new' },
    ...(replaced === 'opaque' ? [] : [{ name: '.wh.e', content: '' }]),
    { name: 'e/', type: 'directory' },
    ...(replaced === 'opaque' ? [{ name: 'e/.wh..wh..opq', content: '' }] : []),
    { name: 'e/new', content: 'new' },
    { name: 'f/.wh.deep', content: '' },
    { name: '.wh.gone', content: '' },
  ]);
  const image = buildImage({ layers: [base, top], config: { Env: ['PATH=/bin'], Cmd: ['sh'] } });
  mkdirSync(dir, { recursive: true });
  writeLayout(dir, blobsOf(image), { t: image.manifest });
  return `oci:${dir}:t`;
}

/** What of it is to be seen, by `LOOK` in a container. */
export const LOOK = 'stat -c %u:%g:%a /home/u; ls /d /e /f; ls -d /gone 2>&1; true';
export const SEEN = '1000:50:640\n/d:\nnew\n\n/e:\nnew\n\n/f:\nls: /gone: No such file or directory';

/** Daemons with a layer below `dir` that run: pids. */
export function fuseDaemons(dir: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return command.includes('fuse-overlayfs') && command.includes(`${dir}/`);
      } catch {
        return false;
      }
    });
}
