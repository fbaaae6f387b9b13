import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Unmounts everything below a directory, the last mount first. */
export function unmountBelow(dir: string): void {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${dir}/`));
  for (const point of points.reverse()) spawnSync('umount', ['-l', point]);
}
