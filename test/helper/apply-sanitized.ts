/**
 * Runs the batch layer writer (native/addon/apply-*.c) under AddressSanitizer and UndefinedBehaviorSanitizer on good and on damaged batches:
 * `tools/node test/helper/apply-sanitized.ts [BATCHES]`. TARE_SEED repeats a run. Exit 0: clean; 77: the compiler lacks the sanitizers.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomizer } from '../../src/archive/_tar.suite.ts';

const batches = Number(process.argv[2] ?? 2000);
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);
const random = randomizer(seed);
const root = join(import.meta.dirname, '../..');
const dir = mkdtempSync(join(tmpdir(), 'tare-apply-asan-'));

const u16 = (n: number): Buffer => Buffer.from([n & 255, n >> 8]);
const u32 = (n: number): Buffer => Buffer.from([n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >>> 24) & 255]);
const string = (text: string): Buffer => Buffer.concat([u16(text.length), Buffer.from(`${text}\0`, 'latin1')]);
const i64 = (n: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(n);
  return bytes;
};
const paths = [
  'a',
  'b',
  'a/b',
  'a/b/c',
  'link',
  'link/x',
  '',
  '..',
  'a/..',
  '/',
  'a//b',
  'n'.repeat(300),
  'd/'.repeat(2000),
];
const path = (): Buffer => string(paths[random(random(3) === 0 ? paths.length : 6)] ?? 'a');

function meta(type = 0): Buffer {
  const xattrs = Array.from({ length: random(3) }, (_, i) =>
    Buffer.concat([string(`user.${i}`), u32(5), Buffer.from('v\0\xff=x', 'latin1')]),
  );
  const ids = [u32(type | random(0o10000)), u32(random(70_000)), u32(random(2))];
  return Buffer.concat([...ids, i64(BigInt(random(1e9)) - 5n), u32(random(1e9)), u16(xattrs.length), ...xattrs]);
}

function operation(): Buffer {
  const op = 1 + random(11);
  const of = (...parts: Buffer[]): Buffer => Buffer.concat([Buffer.of(op), ...parts]);
  if (op === 1 || op === 8) return of(path(), meta());
  if (op === 2 || op === 9) return of(path());
  if (op === 3) return of(u32(20), Buffer.alloc(20, random(256)));
  if (op === 4) return of(meta(), Buffer.alloc(8));
  if (op === 5 || op === 6) return of(path(), meta(), string(['a', '..', '/etc', 'a/b'][random(4)] ?? ''));
  if (op === 7)
    return of(path(), meta([0o020000, 0o060000, 0o010000, 0][random(4)]), u32(random(300)), u32(random(300)));
  if (op === 10) return of(path(), i64(5n), u32(0));
  return of(i64(BigInt([0, 1, 4096, -1, 2 ** 40][random(5)] ?? 0) * (random(10) === 0 ? 2n ** 20n : 1n)));
}

function batch(): Buffer {
  // A file is open for what needs one.
  const good = Buffer.concat(
    Array.from({ length: 1 + random(20) }, () => {
      const next = operation();
      const needsFile = [3, 4, 11].includes(next[0] ?? 0);
      const file = (): Buffer => Buffer.concat([Buffer.of(2), string(`f${random(1e6)}`)]);
      return needsFile ? Buffer.concat([file(), next, Buffer.of(4), meta(), Buffer.alloc(8)]) : next;
    }),
  );
  for (let n = random(4); n > 0; n--) good[random(good.length)] = [0, 1, 0xff, random(256)][random(4)] ?? 0;
  return random(3) === 0 ? good.subarray(0, random(good.length + 1)) : good;
}

try {
  const native = join(root, 'native/addon');
  const sources = readdirSync(native).filter((name) => /^apply-.*\.c$/.test(name));
  const flags = ['-std=c17', '-g', '-O1', '-D_GNU_SOURCE', '-fno-omit-frame-pointer', '-fsanitize=address,undefined'];
  const target = join(dir, 'target');
  const build = spawnSync(
    process.env['CC'] ?? 'cc',
    [
      ...flags,
      '-fno-sanitize-recover=all',
      `-I${native}`,
      '-o',
      target,
      join(import.meta.dirname, 'apply-target.c'),
      ...sources.map((name) => join(native, name)),
    ],
    { stdio: 'inherit' },
  );
  if (build.status !== 0) process.exit(77);
  console.log(`seed ${seed}`);
  for (let at = 0; at < batches && (process.exitCode ?? 0) === 0; at += 200) {
    const work = join(dir, 'work');
    mkdirSync(work);
    const names = Array.from({ length: Math.min(200, batches - at) }, (_, i) => {
      writeFileSync(join(work, `batch-${i}`), batch());
      return `batch-${i}`;
    });
    const run = spawnSync(target, names, { cwd: work, stdio: 'inherit', timeout: 120_000 });
    if (run.status !== 0) process.exitCode = 1;
    rmSync(work, { recursive: true });
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
