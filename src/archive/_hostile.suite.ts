/** Layers that attack whoever unpacks them, or that readers disagree about. Used by the tests of the unpacker, of the store, and beside podman. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ErrorKind } from '../base/errors.ts';
import { addon } from '../sys/addon.ts';
import { joined, makeTar, oldGnuSparse, patched, paxEntry, paxSparse, rawEntry } from './_tar.suite.ts';
import { TAR_END, tarHeader, type TarInput } from './tar-writer.ts';

export type Entry = TarInput & { readonly content?: string | Uint8Array };

export interface HostileLayer {
  readonly tar: () => Buffer;
  /** It must be refused so. */
  readonly refused?: ErrorKind;
  /** Else it is unpacked, and this holds of the directory. */
  readonly verify?: (dir: string) => void;
  /** What containers/storage does when it is not the same: it takes what we refuse, or refuses or unpacks in another way what we take. */
  readonly podman?: 'takes' | 'refuses' | 'differs';
  /** It takes seconds. */
  readonly big?: true;
}

/** The value of an extended attribute, '' for none. */
export function xattr(path: string, name: string): string {
  const value = Buffer.alloc(256);
  return value.toString('latin1', 0, Math.max(0, addon().lgetxattr(path, name, value)));
}

/** Everything about a tree that an intruder could change, times of the inodes included. */
export function listing(dir: string): string {
  const format = '%P %y %m %U:%G %s %n %i %T@ %C@ %l\\n';
  const { stdout } = spawnSync('find', [dir, '-printf', format], { encoding: 'latin1', maxBuffer: 2 ** 28 });
  return stdout.split('\n').sort().join('\n');
}

/** A tree beside the victim's that nothing may touch; returns a check that nothing did. */
export function canary(dir: string): () => void {
  mkdirSync(join(dir, 'sub'), { recursive: true });
  writeFileSync(join(dir, 'secret'), 'keep\n', { mode: 0o600 });
  writeFileSync(join(dir, 'sub/other'), 'keep too\n');
  const before = listing(dir);
  return () => {
    assert.equal(listing(dir), before, 'the tree outside was touched');
    assert.equal(readFileSync(join(dir, 'secret'), 'utf8'), 'keep\n');
    assert.equal(xattr(dir, 'trusted.overlay.opaque'), '');
  };
}

const file = (path: string, content = ''): Entry => ({ path, kind: 'file', content });
const dir = (path: string, mode = 0o755): Entry => ({ path, kind: 'dir', mode });
const symlink = (path: string, linkPath: string): Entry => ({ path, kind: 'symlink', linkPath });
const link = (path: string, linkPath: string): Entry => ({ path, kind: 'link', linkPath });
const raw = (entry: Entry): Buffer => makeTar([entry], false);
const names = (...parts: string[]): string[] => readdirSync(join(...parts), { encoding: 'latin1' }).sort();

function holes(at: string, name: string): void {
  const bytes = readFileSync(join(at, name));
  assert.deepEqual([bytes.length, bytes.toString('latin1', 8192, 8196)], [20_000, 'data'], name);
  assert.ok(
    bytes.fill(0, 8192, 8196).every((byte) => byte === 0),
    name,
  );
  assert.ok(lstatSync(join(at, name)).blocks * 512 < 20_000, `${name} has holes on the disk too`);
}

/** security.capability: version 2, and 3 with the id of the namespace's root. */
export const capability2 = '\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00';
export const capability3 = `${capability2.slice(0, 3)}\x03${capability2.slice(4)}\xe8\x03\x00\x00`;

/** All of them by name. `outside` is an absolute path that the layers aim at: `listing` of it must stay equal. */
export function hostileLayers(outside: string): Readonly<Record<string, HostileLayer>> {
  const refused = (...entries: Entry[]): HostileLayer => ({ tar: () => makeTar(entries), refused: 'invalid' });
  const broken = (...parts: Uint8Array[]): HostileLayer => ({ tar: () => joined(...parts), refused: 'invalid' });
  const taken = (entries: Entry[], verify: (dir: string) => void, podman?: HostileLayer['podman']): HostileLayer => ({
    tar: () => makeTar(entries),
    verify,
    ...(podman === undefined ? {} : { podman }),
  });
  const stricter = (layer: HostileLayer): HostileLayer => ({ ...layer, podman: 'takes' });
  const up = '../'.repeat(40);
  return {
    // Paths.
    'a path above the root': stricter(refused(file('a/../../x'))),
    'a path above the root, absolute': stricter(refused(file(`/${up}${outside}/x`))),
    'dots that stay inside': taken([file('a/b/../c', 'x')], (at) => assert.deepEqual(names(at, 'a'), ['c'])),
    'an absolute name': taken([file(`${outside}/x`, 'x')], (at) =>
      assert.equal(readFileSync(join(at, outside, 'x'), 'utf8'), 'x'),
    ),
    'an absolute symlink as parent': refused(symlink('up', outside), file('up/x')),
    'a relative symlink as parent': refused(symlink('up', `${up}${outside.slice(1)}`), file('up/x')),
    'a symlink to /proc as parent': refused(symlink('up', '/proc/self/root'), file(`up${outside}/x`)),
    'a directory over a symlink, and a file in it': taken(
      [symlink('up', outside), symlink('alias', '.'), dir('alias/up', 0o700), file('up/x', 'x')],
      (at) => assert.ok(lstatSync(join(at, 'up')).isDirectory() && lstatSync(join(at, 'up/x')).isFile()),
    ),
    'a symlink that becomes a directory after it was used as one': taken(
      [dir('real'), symlink('a', 'real'), file('a/one'), symlink('alias', '.'), dir('alias/a'), file('a/two')],
      (at) => assert.deepEqual([names(at, 'real'), names(at, 'a')], [['one'], ['two']]),
    ),
    'a symlink inside the layer as parent': taken([dir('real'), symlink('in', 'real'), file('in/x', 'x')], (at) =>
      assert.deepEqual(names(at, 'real'), ['x']),
    ),
    'an absolute symlink inside the layer as parent': taken(
      [dir('real'), symlink('in', '/real'), file('in/x', 'x')],
      (at) => assert.deepEqual(names(at, 'real'), ['x']),
    ),
    'symlinks that lead in circles': refused(symlink('a', 'b'), symlink('b', 'a'), file('a/x')),
    'a file as parent': refused(file('x'), file('x/y')),
    'an entry twice': refused(file('a/b', '1'), file('./a//b', '2')),
    'a directory twice': refused(dir('a'), dir('./a')),
    'a name of 255 bytes': taken([file('n'.repeat(255))], (at) => assert.equal(names(at)[0]?.length, 255)),
    'a name of 256 bytes': refused(file('n'.repeat(256))),
    'a path of PATH_MAX': refused(file(`${'d/'.repeat(2048)}f`)),
    'a path as deep as can be': taken(
      [file(`${'d/'.repeat(2047)}f`)],
      (at) => assert.deepEqual(names(at), ['d']),
      'refuses',
    ),
    'a name with a newline, controls and no UTF-8': taken([file('a\n\x1b[2J\xff')], (at) =>
      assert.deepEqual(names(at), ['a\n\x1b[2J\xff']),
    ),
    'a NUL in a PAX name': broken(paxEntry([['path', 'a\0b']]), raw(file('x'))),
    'a NUL in a PAX link': broken(paxEntry([['linkpath', 'a\0b']]), raw(symlink('x', 'y'))),

    // Hard links.
    'a hard link above the root': refused(link('x', `${up}${outside.slice(1)}/secret`)),
    'a hard link to an absolute path': refused(link('x', join(outside, 'secret'))),
    'a hard link through a symlink': refused(symlink('up', outside), link('x', 'up/secret')),
    'a hard link through ..': refused(symlink('up', `${up}${outside.slice(1)}`), link('x', 'up/secret')),
    'a hard link to a later entry': refused(link('x', 'y'), file('y')),
    'a hard link to itself': refused(link('x', 'x')),
    'a hard link to a directory': refused(dir('d'), link('x', 'd')),
    'a hard link to the root': refused(link('x', '.')),
    'a hard link to what a whiteout removes': stricter(refused(file('.wh.y'), link('x', 'y'))),
    'a hard link to a symlink': taken([symlink('s', join(outside, 'secret')), link('x', 's')], (at) => {
      assert.equal(readlinkSync(join(at, 'x')), join(outside, 'secret'));
      assert.equal(lstatSync(join(at, 's')).nlink, 2);
    }),
    'a hard link that describes its file otherwise': taken(
      [
        { ...file('f', 'x'), mode: 0o4755, uid: 1, mtimeSeconds: 5 },
        { ...symlink('s', 'f'), uid: 1, mtimeSeconds: 5 },
        { ...link('h', 'f'), mode: 0o640, uid: 2, mtimeSeconds: 7 },
        { ...link('t', 's'), mode: 0o640, uid: 2, mtimeSeconds: 7 },
      ],
      (at) => {
        const about = (name: string): unknown[] => {
          const { mode, uid, mtimeMs, nlink } = lstatSync(join(at, name));
          return [mode & 0o7777, uid, mtimeMs, nlink];
        };
        assert.deepEqual(
          [about('f'), about('s')],
          [
            [0o640, 2, 7000, 2],
            [0o777, 2, 5000, 2],
          ],
        );
      },
    ),
    'a file over a hard link to a symlink': taken(
      [symlink('s', join(outside, 'secret')), link('x', 's'), symlink('alias', '.'), file('alias/x', 'new')],
      (at) => assert.equal(readFileSync(join(at, 'x'), 'utf8'), 'new'),
    ),

    // Kinds of entries.
    'the root as a symlink': stricter(refused(symlink('./', outside))),
    'the root as a file': stricter(refused(file('.'))),
    'the root as a hard link': refused(file('a'), link('/', 'a')),
    'the root as a device': stricter(refused({ path: './', kind: 'char', major: 1, minor: 3 })),
    'a file in place of a directory': stricter(refused(file('x/y'), file('x'))),
    'a directory in place of a file': refused(file('x'), dir('x/')),
    'devices and a FIFO': taken(
      [
        { path: 'mem', kind: 'char', major: 1, minor: 1, mode: 0o600 },
        { path: 'sda', kind: 'block', major: 8, minor: 0, mode: 0o660, gid: 6 },
        { path: 'far', kind: 'block', major: 4095, minor: 0xfffff },
        { path: 'fifo', kind: 'fifo', mode: 0o620 },
      ],
      (at) => {
        assert.ok(lstatSync(join(at, 'sda')).isBlockDevice() && lstatSync(join(at, 'sda')).rdev === 0x800);
        assert.ok(lstatSync(join(at, 'mem')).isCharacterDevice() && lstatSync(join(at, 'fifo')).isFIFO());
      },
    ),
    'a device number out of range': stricter(broken(patched(raw({ path: 'd', kind: 'char' }), 329, '7777777\0'))),
    'an entry of a type of nobody': { tar: () => joined(rawEntry('Z')), refused: 'unsupported' },
    '100,000 entries': {
      tar: () => makeTar(Array.from({ length: 100_000 }, (_, i) => file(`d${i % 100}/f${i}`))),
      verify: (at) => assert.equal(names(at, 'd7').length, 1000),
      big: true,
    },
    'names that need 200,000 directories nobody described': {
      tar: () => makeTar(Array.from({ length: 100 }, (_, i) => file(`${i}/${'d/'.repeat(2000)}f`))),
      refused: 'invalid',
      big: true,
    },

    // Rights.
    'set-id bits and file capabilities of both versions': taken(
      [
        { path: 'su', kind: 'file', mode: 0o6755, uid: 5, content: 'x' },
        { path: 'dir', kind: 'dir', mode: 0o3770, gid: 7 },
        { path: 'v2', kind: 'file', mode: 0o755, xattrs: [['security.capability', capability2]] },
        { path: 'v3', kind: 'file', mode: 0o755, xattrs: [['security.capability', capability3]] },
      ],
      (at) => {
        assert.equal(lstatSync(join(at, 'su')).mode & 0o7777, 0o6755);
        assert.equal(lstatSync(join(at, 'dir')).mode & 0o7777, 0o3770);
        assert.equal(xattr(join(at, 'v2'), 'security.capability'), capability2);
        assert.equal(xattr(join(at, 'v3'), 'security.capability'), capability3);
      },
    ),
    'a file capability of no known version': refused({
      ...file('x'),
      xattrs: [['security.capability', '\x01\x00\x00\x07\x00\x04']],
    }),
    "marks of overlayfs as attributes (they would redirect a directory to the host's)": taken(
      [
        {
          ...dir('d'),
          xattrs: ['redirect', 'opaque', 'metacopy', 'origin'].flatMap((name) => [
            [`trusted.overlay.${name}`, '/etc'] as const,
            [`user.overlay.${name}`, '/etc'] as const,
          ]),
        },
        {
          ...file('f'),
          xattrs: [
            ['trusted.overlay.metacopy', ''],
            ['user.kept', 'v'],
          ],
        },
      ],
      (at) => {
        for (const name of ['redirect', 'opaque', 'metacopy', 'origin'])
          for (const space of ['trusted', 'user']) assert.equal(xattr(join(at, 'd'), `${space}.overlay.${name}`), '');
        assert.equal(xattr(join(at, 'f'), 'user.kept'), 'v');
      },
      'differs', // It sets them.
    ),
    'an owner out of range': stricter(refused({ ...file('x'), uid: 4_294_967_295 })),
    'an owner that is negative': stricter(broken(patched(raw(file('x')), 108, Buffer.alloc(8, 0xff)))),
    'the largest owner there is': taken([{ ...file('x'), uid: 4_294_967_294, gid: 4_294_967_294 }], (at) =>
      assert.deepEqual([lstatSync(join(at, 'x')).uid, lstatSync(join(at, 'x')).gid], [4_294_967_294, 4_294_967_294]),
    ),
    'more owners than a system has': {
      tar: () => makeTar(Array.from({ length: 65_600 }, (_, i) => ({ ...file(`f${i}`), uid: i }))),
      refused: 'exhausted',
      big: true,
    },

    // Whiteouts.
    'a whiteout of nothing': refused(file('a/.wh.')),
    'a whiteout of its own directory': refused(file('a/.wh..')),
    'a whiteout of the parent': refused(file('a/.wh...')),
    'a whiteout above the root': stricter(refused(file('../.wh.x'))),
    'a whiteout through a symlink': refused(symlink('up', outside), file('up/.wh.secret')),
    'an opaque mark through a symlink': refused(symlink('up', outside), file('up/.wh..wh..opq')),
    'an opaque mark in a file': stricter(refused(file('f'), file('f/.wh..wh..opq'))),
    'what is beneath a whiteout': taken(
      [file('.wh.a'), file('.wh.a/b', 'x'), file('.wh.c/d'), dir('.wh..wh.plnk'), file('.wh..wh.plnk/1.2', 'x')],
      (at) => assert.deepEqual(names(at), ['a']),
      'differs', // It makes directories with such names.
    ),
    'a whiteout of what the layer itself has': taken(
      [dir('d'), file('d/x'), file('.wh.d'), file('f', 'stays'), file('.wh.f')],
      (at) => {
        assert.deepEqual(names(at), ['d', 'f']);
        assert.equal(xattr(join(at, 'd'), 'trusted.overlay.opaque'), 'y');
        assert.equal(readFileSync(join(at, 'f'), 'utf8'), 'stays');
      },
      'refuses',
    ),
    "an opaque mark after the directory's entries": taken(
      [dir('d'), file('d/x', 'x'), file('d/.wh..wh..opq'), file('d/y')],
      (at) => {
        assert.deepEqual(names(at, 'd'), ['x', 'y']);
        assert.equal(xattr(join(at, 'd'), 'trusted.overlay.opaque'), 'y');
      },
    ),
    'a whiteout with contents': taken(
      [file('.wh.x', 'contents')],
      (at) => assert.ok(lstatSync(join(at, 'x')).isCharacterDevice()),
      'differs', // It loses the contents when it makes the tar again.
    ),

    // The form of the archive.
    'a PAX size that hides an entry': {
      tar: () => joined(paxEntry([['size', '512']]), raw(file('outer')), raw(file('smuggled'))),
      verify: (at) => assert.deepEqual(names(at), ['outer']),
    },
    'a PAX size in front of a long name': {
      tar: () =>
        joined(
          paxEntry([['size', '1']]),
          rawEntry('L', 'renamed\0'),
          patched(raw(file('x', '')), 124, '00000000000'),
          Buffer.from('a'.padEnd(512, '\0')),
        ),
      verify: (at) => assert.deepEqual(names(at), ['renamed']),
    },
    'a PAX size on a directory and a link': {
      tar: () =>
        joined(
          paxEntry([['size', '512']]),
          raw(dir('d')),
          paxEntry([['size', '512']]),
          raw(symlink('l', 'd')),
          raw(file('after')),
        ),
      verify: (at) => assert.deepEqual(names(at), ['after', 'd', 'l']),
    },
    'sizes of what has no contents': {
      tar: () =>
        joined(
          patched(raw(dir('d')), 124, '00000001000'),
          raw(file('f')),
          patched(raw(link('h', 'f')), 124, '00000001000'),
          patched(raw(symlink('s', 'f')), 124, '00000001000'),
          patched(raw({ path: 'p', kind: 'fifo' }), 124, '00000001000'),
          raw(file('after')),
        ),
      verify: (at) => assert.deepEqual(names(at), ['after', 'd', 'f', 'h', 'p', 's']),
    },
    'a global PAX size': stricter(broken(paxEntry([['size', '512']], 'g'), raw(file('x')))),
    'a global PAX name': stricter(broken(paxEntry([['path', 'x']], 'g'), raw(file('y')))),
    'a global PAX comment': {
      tar: () => joined(paxEntry([['comment', 'made by git']], 'g'), raw(file('x'))),
      verify: (at) => assert.deepEqual(names(at), ['x']),
    },
    'two PAX headers for one entry': stricter(
      broken(paxEntry([['size', '0']]), paxEntry([['size', '512']]), raw(file('x'))),
    ),
    'a PAX header for nothing': stricter(broken(paxEntry([['path', 'x']]))),
    'a PAX name and another GNU name': stricter(
      broken(paxEntry([['path', 'a']]), rawEntry('L', 'b\0'), raw(file('x'))),
    ),
    'a PAX record longer than its header': broken(rawEntry('x', '99 path=a\n'), raw(file('x'))),
    'a PAX record shorter than itself': broken(rawEntry('x', '3 path=a\n'), raw(file('x'))),
    'a PAX header of 2 MiB': {
      tar: () => joined(rawEntry('x', Buffer.alloc(2 ** 21)), raw(file('x'))),
      refused: 'invalid',
    },
    'a negative size': broken(patched(raw(file('x')), 124, Buffer.alloc(12, 0xff))),
    'a size past the end': broken(patched(raw(file('x')), 124, '77777777777')),
    'a wrong checksum': { tar: () => joined(raw(file('x')).fill(1, 20, 21)), refused: 'invalid' },
    'a single zero block in the middle': broken(raw(file('x')), Buffer.alloc(512), raw(file('y'))),
    'an archive that is no tar': { tar: () => Buffer.from('<html>'.repeat(200)), refused: 'invalid' },
    'an archive that is cut': {
      tar: () => makeTar([file('x', 'a'.repeat(600))], false).subarray(0, 1000),
      refused: 'invalid',
    },
    'entries behind the end': {
      tar: () => Buffer.concat([raw(file('x')), TAR_END, raw(file('hidden')), TAR_END, Buffer.from('odd')]),
      verify: (at) => assert.deepEqual(names(at), ['x']),
    },
    'no end blocks': { tar: () => raw(file('x', 'a')), verify: (at) => assert.deepEqual(names(at), ['x']) },
    'one end block': {
      tar: () => Buffer.concat([raw(file('x', 'a')), Buffer.alloc(512)]),
      verify: (at) => assert.deepEqual(names(at), ['x']),
    },
    'an empty archive': { tar: () => Buffer.from(TAR_END), verify: (at) => assert.deepEqual(names(at), []) },
    'a time before and after all clocks': taken(
      [
        { ...file('early'), mtimeSeconds: -(2 ** 40) },
        { ...file('late'), mtimeSeconds: 2 ** 40 },
        { ...file('odd'), mtimeSeconds: -5, mtimeNanoseconds: 1 },
      ],
      (at) => assert.equal(lstatSync(join(at, 'odd'), { bigint: true }).mtimeNs, -4_999_999_999n),
      'differs', // Go's clock is shorter.
    ),

    // Holes.
    'a sparse file of every PAX form': {
      tar: () =>
        joined(
          ...(['0.0', '0.1', '1.0'] as const).map((form) => paxSparse(form, `pax${form}`, [[8192, 'data']], 20_000)),
        ),
      verify: (at) => ['pax0.0', 'pax0.1', 'pax1.0'].forEach((name) => holes(at, name)),
      podman: 'differs', // It makes another tar of them.
    },
    'a sparse file of the old GNU form': {
      tar: () => joined(oldGnuSparse('old', [[8192, 'data']], 20_000)),
      verify: (at) => holes(at, 'old'),
      podman: 'refuses',
    },
    'a sparse file of four exabytes': {
      tar: () => joined(paxSparse('0.1', 'huge', [[0, 'x']], 2 ** 53 - 1)),
      refused: 'exhausted',
      big: true, // Podman writes the zeros until the disk is full.
    },
    'a sparse map that lies': broken(
      paxEntry([
        ['GNU.sparse.size', '10'],
        ['GNU.sparse.map', '0,512'],
      ]),
      raw(file('x')),
      tarHeader(file('smuggled')),
    ),
    'a sparse map of a million runs': broken(
      paxEntry([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', '1000'],
      ]),
      rawEntry('0', '99999999\n'.padEnd(2 ** 21, '0\n'), 's'),
    ),
  };
}
