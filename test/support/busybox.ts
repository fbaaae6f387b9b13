import { readFileSync } from 'node:fs';
import type { TarEntry } from './tar.ts';

/** Debian's static busybox in /bin of a layer, with links for these applets. */
export function busyboxEntries(...applets: readonly string[]): TarEntry[] {
  return [
    { name: 'bin/', type: 'directory' },
    { name: 'bin/busybox', mode: 0o755, content: readFileSync('/bin/busybox') },
    ...applets.map((name): TarEntry => ({ name: `bin/${name}`, type: 'symlink', link: 'busybox' })),
  ];
}
