/**
 * Runs a lane of tests: `tools/node tools/lane.ts unit|interop|vm|package|long [--no-skips] [PATTERN...]`.
 *
 * Builds first, installs the Debian packages the lane needs (as root), runs the files three at a time, kills what they leave running, and fails when a
 * test fails, when something is left on the machine, or (with --no-skips or CI=1) when a test was skipped without the excuse "cannot here:".
 * PATTERN chooses files whose path contains it. TARE_LANE_SHARED=1 turns leaks into warnings, for a machine on which others work at the same time.
 */
import { appendFileSync, existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newTraces, stragglers, takeTraces } from './_leaks.ts';
import { ensurePackages } from './_packages.ts';
import { inPeerNamespace } from './_peer-namespace.ts';
import { filesBelow, runProgram } from './_problem.ts';
import { runFiles } from './_run-files.ts';
import { countReasons, unexcused } from './_skips.ts';

interface Lane {
  readonly files: (path: string) => boolean;
  readonly packages: readonly string[];
  /** One test may take as long. */
  readonly testTimeoutMs: number;
  /** And all of them together. */
  readonly totalTimeoutMs: number;
  /** Files that run one at a time, after the others. */
  readonly isAlone?: (path: string) => boolean;
  /** In a mount namespace with what the peers need. */
  readonly peers?: boolean;
  /** Markdown that collects the results. */
  readonly log?: string;
}

const isTest = (path: string): boolean => path.endsWith('.test.ts');
const below =
  (...dirs: string[]): ((path: string) => boolean) =>
  (path) =>
    isTest(path) && dirs.some((dir) => path.startsWith(`${dir}/`));
/** The others of test/vm run inside the virtual machine. */
const outsideVm = (path: string): boolean => below('test/vm')(path) && !below('test/vm/guest')(path);
const vmPackages: readonly string[] = ['e2fsprogs', 'mmdebstrap', 'qemu-system-x86', 'qemu-utils'];
const lanes: Readonly<Record<string, Lane>> = {
  unit: {
    files: (path) =>
      below('src', 'tools', 'test', 'bench')(path) &&
      !below('test/interop', 'test/long', 'test/vm', 'test/package')(path),
    packages: [
      'bash-completion',
      'buildah',
      'busybox-static',
      'clang-format',
      'containernetworking-plugins',
      'crun',
      'curl',
      'docker-registry',
      'e2fsprogs',
      'fish',
      'fuse-overlayfs',
      'iproute2',
      'iptables',
      'mmdebstrap',
      'nftables',
      'openssl',
      'passt',
      'podman',
      'python3',
      'runc',
      'skopeo',
      'uidmap',
      'zsh',
    ],
    testTimeoutMs: 60_000,
    totalTimeoutMs: 600_000,
  },
  interop: {
    files: below('test/interop'),
    packages: [
      'buildah',
      'busybox-static',
      'containernetworking-plugins',
      'crun',
      'curl',
      'docker-registry',
      'fuse-overlayfs',
      'iproute2',
      'iptables',
      'mmdebstrap',
      'nftables',
      'passt',
      'podman',
      'python3',
      'runc',
      'skopeo',
      'ufw',
      'uidmap',
    ],
    testTimeoutMs: 180_000,
    totalTimeoutMs: 900_000,
    peers: true,
  },
  vm: {
    files: outsideVm,
    packages: vmPackages,
    testTimeoutMs: 1_200_000,
    totalTimeoutMs: 2 * 3_600_000,
    isAlone: outsideVm,
  },
  // Installs from the npm registry.
  package: {
    files: below('test/package'),
    packages: [
      'binutils',
      'gcc-aarch64-linux-gnu',
      'libc6-dev-arm64-cross',
      'libstdc++6-arm64-cross',
      'qemu-user-static',
    ],
    testTimeoutMs: 600_000,
    totalTimeoutMs: 1_200_000,
  },
  long: {
    files: (path) => below('test/long')(path) || outsideVm(path),
    packages: [
      ...vmPackages,
      'buildah',
      'busybox-static',
      'clang',
      'curl',
      'docker-registry',
      'iproute2',
      'libclang-rt-14-dev',
      'nftables',
      'passt',
      'podman',
      'python3',
      'runc',
      'skopeo',
      'uidmap',
    ],
    testTimeoutMs: 1_800_000,
    totalTimeoutMs: 4 * 3_600_000,
    // An emulated machine keeps both processors busy, and what runs in there waits by the clock.
    isAlone: outsideVm,
    log: 'docs/measurements/long.md',
  },
};

const root = dirname(import.meta.dirname);
const say = (line: string): void => void process.stdout.write(`lane: ${line}\n`);
/** So many files are named that took longest. */
const LONGEST = 12;
/** Leaks and processes get this long to go away by themselves. */
const SETTLE_MS = 5_000;

async function main(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv;
  const lane = Object.hasOwn(lanes, name) ? lanes[name] : undefined;
  if (lane === undefined) {
    say(`which lane? One of ${Object.keys(lanes).join(', ')}`);
    return 2;
  }
  const unknown = rest.filter((arg) => arg.startsWith('-') && arg !== '--no-skips');
  if (unknown.length > 0) {
    say(`unknown option ${unknown.join(' ')}`);
    return 2;
  }
  const patterns = rest.filter((arg) => !arg.startsWith('-'));
  const strict = rest.includes('--no-skips') || process.env['CI'] === '1';
  const shared = process.env['TARE_LANE_SHARED'] === '1';
  if (lane.peers) {
    const inside = inPeerNamespace(say);
    if (inside !== undefined) return inside;
  }
  const build = await runProgram([process.execPath, join(root, 'tools/build.ts')], { cwd: root });
  if (build.code !== 0) {
    say(`the build failed:\n${build.output}`);
    return 1;
  }
  await ensurePackages(lane.packages, root, say);
  const files = filesBelow(root, '', lane.files).filter(
    (file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)),
  );
  if (files.length === 0) {
    say(`${name} has no test files${patterns.length > 0 ? ` like ${patterns.join(' ')}` : ''}`);
    return patterns.length > 0 ? 2 : 0;
  }

  const mark = `${name}-${process.pid}-${Date.now()}`;
  process.env['TARE_LANE'] = mark;
  // The machine's network stays as it is: who tests networks has one to do it in.
  process.env['TARE_DEFAULT_NETWORK'] = 'none';
  const before = takeTraces(mark);
  const began = performance.now();
  const result = await runFiles(root, files, {
    testTimeoutMs: lane.testTimeoutMs,
    totalTimeoutMs: lane.totalTimeoutMs,
    isAlone: lane.isAlone,
    say,
  });
  const seconds = (performance.now() - began) / 1000;

  const leaks = await settle(() => newTraces(before, takeTraces(mark)));
  for (const pid of stragglers(mark)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  for (const leak of leaks) say(`left behind: ${leak}`);
  const inexcusable = strict ? unexcused(result.skips) : [];
  for (const { test, file, reason } of inexcusable)
    say(`skipped although this machine is meant to run everything: ${file}: ${test}: ${reason}`);
  for (const line of countReasons(result.skips)) say(`skipped ${line}`);
  const longest = result.durations.slice(0, LONGEST).map(([file, took]) => `${file} ${took.toFixed(0)} s`);
  say(`longest: ${longest.join(', ')}`);
  const failed = result.failed > 0 || result.passed === 0 || inexcusable.length > 0 || (leaks.length > 0 && !shared);
  const summary = `${result.passed} passed, ${result.failed} failed, ${result.skips.length} skipped, ${leaks.length} left behind, ${seconds.toFixed(1)} s`;
  say(`${name} ${failed ? 'FAILED' : 'passed'}: ${summary}`);
  if (lane.log !== undefined && patterns.length === 0) await appendLog(join(root, lane.log), failed, summary);
  return failed ? 1 : 0;
}

/** Asks until the answer is empty, or for SETTLE_MS. */
async function settle(ask: () => string[]): Promise<string[]> {
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const left = ask();
    if (left.length === 0 || performance.now() > deadline) return left;
    await sleep(200);
  }
}

async function appendLog(path: string, failed: boolean, summary: string): Promise<void> {
  const { output } = await runProgram(['git', 'rev-parse', '--short', 'HEAD'], { cwd: root });
  const { output: changes } = await runProgram(['git', 'status', '--porcelain', '--untracked-files=no'], { cwd: root });
  const commit = `${output.trim()}${changes.trim() === '' ? '' : ' with changes'}`;
  if (!existsSync(path))
    writeFileSync(path, '# Runs of `npm run test:long`\n\n| Date | Commit | Result |\n|---|---|---|\n');
  appendFileSync(
    path,
    `| ${new Date().toISOString().slice(0, 16).replace('T', ' ')} | ${commit} | ${failed ? 'failed' : 'passed'}: ${summary} |\n`,
  );
}

process.exitCode = await main(process.argv.slice(2));
