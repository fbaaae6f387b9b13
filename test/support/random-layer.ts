/** Trees of files as tars, the same for the same seed: names, kinds, sizes and attributes that layers have and that tools get wrong. */
import { tarOf, type TarEntry } from './tar.ts';

const words = [
  'etc',
  'usr',
  'lib',
  'a',
  'B',
  'ümlaut',
  'with space',
  'x'.repeat(120),
  '漢字',
  '-dash',
  '..dots',
  'tab\tname',
  '#',
];
/** Around the sizes where readers and writers change their ways. */
const sizes = [0, 1, 511, 512, 513, 4096, 65_535, 262_144, 262_145, 1_048_577];

/** One layer's tar of some dozens of entries. */
export function randomLayer(seed: number): Buffer {
  let state = seed * 2654435761;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const pick = <T>(list: readonly T[]): T => list[next(list.length)] as T; // not empty
  const used = new Set<string>();
  const files: string[] = [];
  const dirs = [''];
  const entries: TarEntry[] = [];
  const newName = (): string | undefined => {
    const name = pick(dirs) + pick(words) + (next(2) === 0 ? '' : String(next(50)));
    if (used.has(name) || Buffer.byteLength(name) > 900) return undefined;
    used.add(name);
    return name;
  };
  const common = (): Pick<TarEntry, 'mode' | 'uid' | 'gid' | 'mtime'> => ({
    mode: pick([0o644, 0o755, 0o4755, 0o600, 0o1777]),
    uid: pick([0, 1, 1000, 65_534]),
    gid: pick([0, 5, 100]),
    mtime: next(2 ** 31),
  });
  for (let count = 10 + next(60); count > 0; count--) {
    const name = newName();
    if (name === undefined) continue;
    const kind = next(10);
    if (kind < 2) {
      dirs.push(`${name}/`);
      entries.push({ name: `${name}/`, type: 'directory', ...common() });
    } else if (kind === 2 && files.length > 0) entries.push({ name, type: 'hardlink', link: pick(files) });
    else if (kind === 3)
      entries.push({ name, type: 'symlink', link: pick(['/etc/passwd', '../..', 'a', 'y'.repeat(200)]) });
    else if (kind === 4) entries.push({ name, type: 'fifo', ...common() });
    else if (kind === 5) entries.push({ name, type: 'char', device: [1, next(9)], ...common() });
    else {
      files.push(name);
      const content = Buffer.alloc(pick(sizes), next(256));
      const pax = next(4) === 0 ? { 'SCHILY.xattr.user.mark': 'value', mtime: `${next(2 ** 31)}.5` } : {};
      entries.push({ name, content, pax, ...common() });
    }
  }
  return tarOf(entries);
}
