/** Random trees as archives, and what must be on disk when they are unpacked. Equal seeds give equal trees. */
import assert from 'node:assert/strict';
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { addon } from '../sys/addon.ts';
import { O_RDONLY, openat2, openDirectory, RESOLVE_IN_ROOT } from '../sys/open.ts';
import { joinTarSplit, readTarSplit } from './tar-split.ts';
import { oldGnuSparse, paxSparse, randomizer } from './_tar.suite.ts';
import { capability2, capability3, type Entry } from './_hostile.suite.ts';
import { bytesOf, cleanPath, dirName, isAscii, utf8Of } from './byte-string.ts';
import { TAR_END, tarHeader, tarPadding } from './tar-writer.ts';
import type { TarKind } from './tar-reader.ts';
import { LayerUnpacker, type UnpackOptions } from './unpack.ts';

/** What is at a path. */
interface Node {
  readonly kind: Exclude<TarKind, 'link'>;
  readonly mode: number;
  readonly owner: string;
  readonly mtimeNs: bigint;
  readonly content: string;
  readonly device: string;
  readonly xattrs: readonly (readonly [string, string])[];
}

export interface RandomTree {
  readonly tar: Buffer;
  /** By clean path. Hard links share the node. */
  readonly nodes: ReadonlyMap<string, Node>;
}

const oddNames = [
  'plain',
  'with space',
  'new\nline',
  bytesOf('ünï\u202ecode'),
  '\xff\xfe\x80',
  '-rf',
  '...',
  '*?[',
  'tab\t"\\',
  '.wh',
  'wh.',
  `${'n'.repeat(250)}end`,
  `${'é'.repeat(90)}`,
];
const sizes = [0, 1, 511, 512, 513, 4096, 70_000];
const times = [0, 1, 1_700_000_000, -1, -1_000_000_000, 2 ** 33];
const ids = [0, 1, 1000, 65_534, 2_097_151, 2_097_152, 2 ** 31, 4_294_967_294];
const targets = ['x', '/etc/passwd', '../../..', '\xff\n', 't'.repeat(101), `${'deep/'.repeat(500)}end`];

/** A tree of some forty entries of all kinds, as an archive that mixes the formats. `sparse`: with files that have holes. */
export function randomTree(seed: number, sparse = true): RandomTree {
  const random = randomizer(seed);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T; // in bounds
  const nodes = new Map<string, Node>();
  const dirs = [''];
  const parts: Uint8Array[] = [];
  const count = 10 + random(50);
  for (let i = 0; i < count; i++) {
    const parent = pick(dirs);
    const path = `${parent === '' ? '' : `${parent}/`}${i}${pick(oddNames)}`.slice(0, 3000);
    if (path.endsWith('/') || path.slice(path.lastIndexOf('/') + 1).length > 255) continue;
    const kind = pick(['file', 'file', 'file', 'dir', 'dir', 'symlink', 'link', 'char', 'block', 'fifo'] as const);
    if (kind === 'link') {
      const [target, node] = pick([...nodes, ['', undefined] as const]);
      if (node === undefined || node.kind === 'dir') continue;
      // As all tools write it, the link's header describes the file once more.
      const [uid = 0, gid = 0] = node.owner.split(':').map(Number);
      const mtimeNanoseconds = Number(((node.mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n);
      const mtimeSeconds = Number((node.mtimeNs - BigInt(mtimeNanoseconds)) / 1_000_000_000n);
      const about = { mode: node.mode, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs: node.xattrs.map((x) => x) };
      nodes.set(path, node);
      parts.push(tarHeader({ path: written(path, random), kind, linkPath: written(target, random), ...about }));
      continue;
    }
    const entry = randomEntry(kind, written(path, random), random);
    const runs = kind === 'file' && sparse && random(4) === 0 ? randomRuns(random) : undefined;
    if (runs === undefined) {
      const content = Buffer.from((entry.content as string | undefined) ?? '', 'latin1');
      parts.push(tarHeader({ ...entry, sizeBytes: content.length }), content, tarPadding(content.length));
      nodes.set(
        path,
        nodeOf(entry, entry.kind === 'symlink' ? (entry.linkPath ?? '') : ((entry.content as string) ?? '')),
      );
    } else {
      const size = 30_000 + random(2) * 1000;
      const form = pick(['0.0', '0.1', '1.0', 'old'] as const);
      const name = path.length > 90 || !isAscii(path) ? `short${i}` : path;
      parts.push(form === 'old' ? oldGnuSparse(name, runs, size) : paxSparse(form, name, runs, size));
      const bytes = Buffer.alloc(size);
      for (const [offset, text] of runs) bytes.write(text, offset, 'latin1');
      nodes.set(name, nodeOf({ path: name, kind: 'file', mode: 0o644 }, bytes.toString('latin1')));
    }
    if (kind === 'dir' && path.length < 2000) dirs.push(path);
  }
  parts.push(TAR_END, new Uint8Array(512 * random(4)), Buffer.from('tail'.slice(0, random(5))));
  return { tar: Buffer.concat(parts), nodes };
}

/** The path in one of the forms that mean the same. */
function written(path: string, random: (n: number) => number): string {
  return ['', '', './', '/', 'not/../'][random(5)] + path;
}

function randomEntry(kind: Node['kind'], path: string, random: (n: number) => number): Entry & { kind: Node['kind'] } {
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T; // in bounds
  const canHaveAttributes = kind === 'file' || kind === 'dir';
  return {
    kind,
    path,
    mode: kind === 'symlink' ? 0o777 : pick([0, 0o644, 0o755, 0o4755, 0o2750, 0o1777, 0o7777, random(0o10000)]),
    uid: pick(ids),
    gid: pick(ids),
    mtimeSeconds: pick(times),
    mtimeNanoseconds: pick([0, 1, 500_000_000, 999_999_999]),
    ...(kind === 'char' || kind === 'block' ? { major: 1 + random(4095), minor: random(0x100000) } : {}),
    ...(kind === 'symlink' ? { linkPath: pick(targets) } : {}),
    ...(kind === 'file' ? { content: String.fromCharCode(random(256)).repeat(pick(sizes)) } : {}),
    xattrs:
      canHaveAttributes && random(3) === 0
        ? [
            [`user.${pick(['a', 'ü', 'x'.repeat(200)])}`, pick(['', '\0', 'v=\n\xff', 'long'.repeat(200)])],
            ...(kind === 'file' ? ([['security.capability', pick([capability2, capability3])]] as const) : []),
          ].map(([name, value]) => [bytesOf(name as string), value as string] as const)
        : [],
  };
}

function randomRuns(random: (n: number) => number): (readonly [number, string])[] {
  const runs: (readonly [number, string])[] = [];
  for (let at = random(2) * 512; at < 25_000 && runs.length < 40; at += 600 + random(9000))
    runs.push([at, 'd'.repeat(1 + random(600))]);
  return runs.length === 0 ? [[0, 'd']] : runs;
}

function nodeOf(entry: Entry & { kind: Node['kind'] }, content: string): Node {
  return {
    kind: entry.kind,
    mode: entry.mode ?? 0,
    owner: `${entry.uid ?? 0}:${entry.gid ?? 0}`,
    mtimeNs: BigInt(entry.mtimeSeconds ?? 0) * 1_000_000_000n + BigInt(entry.mtimeNanoseconds ?? 0),
    content,
    device: `${entry.major ?? 0}:${entry.minor ?? 0}`,
    xattrs: entry.xattrs ?? [],
  };
}

/** Asserts that exactly the nodes of the tree are in `dir`, each as it was described, with the hard links that there were; of files only, if the packer knows no others. */
export function assertTree(dir: string, tree: RandomTree, what: string, links: 'all' | 'files' = 'all'): void {
  const groups = new Map<bigint, Node>();
  const implied = new Set([...tree.nodes.keys()].flatMap((path) => parents(path)));
  const found = new Set<string>();
  const at = (path: string): Buffer => Buffer.from(`${dir}/${path}`, 'latin1');
  const visit = (path: string): void => {
    for (const name of readdirSync(at(path), { encoding: 'latin1' })) {
      const child = path === '' ? name : `${path}/${name}`;
      found.add(child);
      if (lstatSync(at(child)).isDirectory()) visit(child);
    }
  };
  visit('');
  for (const path of found) assert.ok(tree.nodes.has(path) || implied.has(path), `${what}: ${JSON.stringify(path)}`);
  for (const [path, node] of tree.nodes) {
    const stat = lstatSync(at(path), { bigint: true });
    const group = groups.get(stat.ino);
    assert.equal(group ?? node, node, `${what}: ${JSON.stringify(path)} shares its inode with another`);
    groups.set(stat.ino, node);
    const kind = stat.isFile()
      ? 'file'
      : stat.isDirectory()
        ? 'dir'
        : stat.isSymbolicLink()
          ? 'symlink'
          : stat.isFIFO()
            ? 'fifo'
            : stat.isBlockDevice()
              ? 'block'
              : 'char';
    const isDevice = kind === 'char' || kind === 'block';
    const major = ((stat.rdev >> 8n) & 0xfffn) | ((stat.rdev >> 32n) & ~0xfffn);
    const minor = (stat.rdev & 0xffn) | ((stat.rdev >> 12n) & ~0xffn);
    assert.deepEqual(
      {
        kind,
        mode: Number(stat.mode & 0o7777n),
        owner: `${stat.uid}:${stat.gid}`,
        mtimeNs: stat.mtimeNs,
        content:
          kind === 'file'
            ? readFileSync(at(path), 'latin1')
            : kind === 'symlink'
              ? readlinkSync(at(path), 'latin1')
              : '',
        device: isDevice ? `${major}:${minor}` : '0:0',
        xattrs: node.xattrs.map(([name]) => [name, attribute(at(path), name)]),
      },
      node,
      `${what}: ${JSON.stringify(path)}`,
    );
  }
  const counted = (all: Iterable<Node>): number =>
    [...all].filter(({ kind }) => links === 'all' || kind === 'file').length;
  assert.equal(counted(groups.values()), counted(new Set(tree.nodes.values())), `${what}: hard links are one file`);
}

function attribute(path: Buffer, name: string): string {
  const value = Buffer.alloc(4096);
  const fd = openSync(path, 'r');
  try {
    return value.toString('latin1', 0, Math.max(0, addon().fgetxattr(fd, utf8Of(name), value)));
  } finally {
    closeSync(fd);
  }
}

function parents(path: string): string[] {
  const list = [];
  for (let parent = dirName(path); parent !== ''; parent = dirName(parent)) list.push(parent);
  return list;
}

/** Unpacks `tar` into `dir` in pieces; returns the lines of its tar-split. */
export async function unpackInto(
  dir: string,
  tar: Uint8Array,
  pieces: number,
  options: UnpackOptions = {},
): Promise<string> {
  const lines: string[] = [];
  const fd = openSync(dir, 'r');
  try {
    await using unpacker = new LayerUnpacker(fd, { ...options, onSplit: (text) => lines.push(text) });
    for (let at = 0; at < tar.length; at += pieces) await unpacker.write(tar.subarray(at, at + pieces));
    await unpacker.finish();
  } finally {
    closeSync(fd);
  }
  return lines.join('');
}

/** The tar that its tar-split and the unpacked files give. */
export async function rebuilt(dir: string, split: string): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  using top = openDirectory(dir);
  const open = (name: string): Uint8Array[] => {
    const path = Buffer.from(cleanPath(name), 'latin1');
    using fd = openat2(top, path, { flags: O_RDONLY, resolve: RESOLVE_IN_ROOT });
    return [readFileSync(fd.number)];
  };
  for await (const part of joinTarSplit(readTarSplit([Buffer.from(split)]), open)) parts.push(part);
  return Buffer.concat(parts);
}
