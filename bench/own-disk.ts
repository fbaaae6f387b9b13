/**
 * The disk the engines are measured on. ext4 without a journal, which virtual machines have now and then, does not use an inode again for one to five minutes
 * after its deletion, and looks at each such one when it makes a new one: after a removal of ten thousand files a `mkdir` takes ten times as long. People's
 * file systems have a journal: where the machine's has none, the bench makes one in a file.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

const EXT4_MAGIC = 0xef53;
/** Of a sparse file. */
const DISK_BYTES = 64 * 1024 ** 3;

/** Makes a file system with a journal in `dir`, where it has none itself; stage 2 mounts it. */
export function makeDisk(dir: string): void {
  if (journalOf(dir) !== false) return;
  const image = join(dir, 'disk.img');
  writeFileSync(image, '', { mode: 0o600 });
  truncateSync(image, DISK_BYTES);
  const { status } = spawnSync('mkfs.ext4', ['-q', '-F', image], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`Cannot make ${image} a file system: see the messages above (Debian: e2fsprogs)`);
  mkdirSync(join(dir, 'disk'));
}

/** Where the engines' files go. */
export function diskOf(dir: string): string {
  const own = join(dir, 'disk');
  return existsSync(own) ? own : dir;
}

/** "ext4 with a journal, in a file" */
export function describeDisk(path: string): string {
  const journal = journalOf(path);
  if (journal === undefined) return `file system ${statfsSync(path).type.toString(16)}`;
  return `ext4 with${journal ? '' : 'out'} a journal${deviceOf(path).startsWith('loop') ? ', in a file' : ''}`;
}

/** Whether the ext4 file system of `path` has one; undefined for any other. */
function journalOf(path: string): boolean | undefined {
  if (statfsSync(path).type !== EXT4_MAGIC) return undefined;
  try {
    return !readFileSync(`/sys/fs/ext4/${deviceOf(path)}/journal_task`, 'latin1').startsWith('<none>');
  } catch {
    return undefined;
  }
}

function deviceOf(path: string): string {
  const { dev } = statSync(path);
  // As gnu_dev_major and gnu_dev_minor do, for the numbers that disks have.
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  try {
    return basename(readlinkSync(`/sys/dev/block/${major}:${minor}`));
  } catch {
    return '';
  }
}
