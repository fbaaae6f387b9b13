/**
 * Fuzzes the helper's Plan reader and frame parser with libFuzzer and AddressSanitizer: `tools/node test/helper/fuzz.ts [SECONDS]`.
 * Needs clang (Debian: clang libclang-rt-14-dev). Exit 0: nothing found; 77: clang is missing; else libFuzzer's own.
 */
import { mkdtempDisposableSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePlan, NO_FD, type Op } from '../../src/sys/mod.ts';
import { nativeSources, runFuzzer } from '../support/sanitizers.ts';

const seconds = Number(process.argv[2] ?? 60);
const root = join(import.meta.dirname, '../..');
using dir = mkdtempDisposableSync(join(tmpdir(), 'tare-fuzz-'));

function seeds(): Buffer[] {
  const state: Op = { op: 'state', dir: 0, life: 1, volatile: 0 };
  const exec: Op = { op: 'exec', candidates: ['/bin/sh'], argv: ['sh', '-c', 'true'], env: ['A=B'], init: 0 };
  const plan = encodePlan(
    [
      state,
      { op: 'clone', flags: 1, cgroup: NO_FD },
      {
        op: 'mountFs',
        type: 'tmpfs',
        source: 't',
        options: ['mode=755', 'x'],
        attrs: 1,
        target: '/t',
        mkdir: 1,
        flags: 0,
        propagation: 0,
      },
      { op: 'user', uid: 1, gid: 2, groups: new Uint8Array(8), umask: 0 },
      { op: 'seccomp', flags: 0, filter: new Uint8Array(16) },
      exec,
    ],
    8,
  ).subarray(16);
  const execPlan = encodePlan(
    [
      { op: 'enter', pidfd: 0, flags: 1, cgroup: NO_FD },
      { op: 'stdio', mode: 1, stdin: 1, once: 0, in: NO_FD, out: NO_FD, err: NO_FD },
      exec,
    ],
    8,
  ).subarray(16);
  const frame = (type: number, ...payload: number[]): number[] => [payload.length + 1, 0, 0, 0, type, ...payload];
  const u32 = [1, 0, 0, 0];
  const frames = [1, 2, 6, 9, 10, 11, 15, 17]
    .flatMap((type) => frame(type, ...u32))
    .concat(
      frame(3, 65),
      frame(4, ...u32, ...u32, 0, 0, 0, 0),
      frame(5, ...u32, ...u32, ...u32, 0, 0, 0, 0),
      frame(7, ...u32, ...u32, ...u32),
      frame(8, ...u32, 1, 0, 0, 0, 97, ...u32, ...u32),
      frame(12),
      frame(13),
      frame(14, 1, 0, 0, 0, 97, 66),
    );
  return [Buffer.concat([Buffer.of(0), plan]), Buffer.concat([Buffer.of(1), execPlan]), Buffer.from([2, ...frames])];
}

process.exitCode = runFuzzer({
  name: 'tare-fuzz',
  dir: dir.path,
  sources: [join(import.meta.dirname, 'fuzz-target.c'), ...nativeSources('helper', (name) => name !== 'main.c')],
  includes: [join(root, 'build/gen'), join(root, 'native/helper')],
  seeds: seeds(),
  maxBytes: 4096,
  seconds,
});
