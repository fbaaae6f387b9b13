/**
 * What supervision costs while nothing happens: `tools/node bench/supervision.ts [SECONDS]`. 200 detached containers with a health check every
 * 30 s among 1,000 that are recorded: memory and CPU of their monitors, `tare ps`, and `tare stats` of 50 of them every second. Needs root and busybox. Touches no container of yours.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createContainer } from '../src/engine/mod.ts';
import { readCgroupHost } from '../src/runtime/cgroup/host.ts';
import { cgroupUsage, locateCgroup } from '../src/runtime/cgroup/mod.ts';
import { Lab } from '../test/engine/lab.ts';

const RUNNING = 200;
const RECORDED = 1000;
const PS_ROUNDS = 15;
const WATCHED = 50;
const goals = { pssMiB: 120, cpuPercent: 5, psMs: 60, statsPercent: 5 };

async function main(seconds: number): Promise<void> {
  await using lab = new Lab();
  const health = { test: ['CMD', 'true'], intervalMs: 30_000 };
  console.log(`starting ${RUNNING} containers, recording ${RECORDED}`);
  await inParallel(RUNNING, (n) => lab.detached(['sleep', '100000'], { name: `run-${n}`, health }));
  await inParallel(RECORDED - RUNNING, (n) =>
    createContainer(lab.engine, { source: lab.source, argv: ['true'], name: `made-${n}` }),
  );
  const monitors = monitorsOf(lab);
  // Checks are as spread as the starts were; one round of them before the clock runs.
  await sleep(35_000);
  const before = cpuOf(lab, monitors);
  await sleep(seconds * 1000);
  const after = cpuOf(lab, monitors);
  const pss = monitors.reduce((sum, pid) => sum + pssKiB(pid), 0) / 1024;
  const percent = (usec: number): string => (usec / 1e4 / seconds).toFixed(2);
  const own = after.monitors - before.monitors;
  const checks = after.containers - before.containers;
  console.log(`${monitors.length} monitors: PSS ${pss.toFixed(1)} MiB (goal ${goals.pssMiB})`);
  console.log(
    `CPU of one core: monitors ${percent(own)} %, with the checks they ran ${percent(own + checks)} % (goal ${goals.cpuPercent})`,
  );
  const empty = join(lab.dir, 'empty.js');
  writeFileSync(empty, '');
  mkdirSync(join(lab.dir, 'nowhere'));
  const bare = medianMs([process.execPath, empty]);
  const ps = medianMs([...lab.options.self, 'ps']);
  console.log(
    `tare ps: ${ps.toFixed(1)} ms, bare Node ${bare.toFixed(1)} ms: + ${(ps - bare).toFixed(1)} (goal ${goals.psMs})`,
  );
  const stats = await statsPercent(lab, seconds);
  console.log(`tare stats of ${WATCHED}, every second: ${stats.toFixed(2)} % of one core (goal ${goals.statsPercent})`);
}

/** Per cent of one core that `tare stats` takes, once it has begun. */
async function statsPercent(lab: Lab, seconds: number): Promise<number> {
  const names = Array.from({ length: WATCHED }, (_, n) => `run-${n}`);
  const [program = '', ...args] = [...lab.options.self, 'stats', ...names];
  const stats = spawn(program, args, { stdio: 'ignore' });
  try {
    await sleep(5000);
    const before = onCpuUsec(stats.pid ?? 0);
    await sleep(seconds * 1000);
    return (onCpuUsec(stats.pid ?? 0) - before) / 1e4 / seconds;
  } finally {
    stats.kill();
  }
}

/** Microseconds that the threads of a process were on a CPU, as the scheduler counts them. */
function onCpuUsec(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nsec = threads.map((id) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]));
  return nsec.reduce((sum, each) => sum + each, 0) / 1000;
}

async function inParallel(count: number, each: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await each(next++);
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

function monitorsOf(lab: Lab): number[] {
  const root = realpathSync(lab.engine.containersDir);
  return readdirSync('/proc')
    .filter((name) => /^[0-9]+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('tare: monitor ')) return false;
        return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(root));
      } catch {
        return false;
      }
    });
}

/**
 * Microseconds on a CPU: of the monitors, and of all that ran in the containers' cgroups. The ticks of /proc/PID/stat miss whoever wakes by a
 * timer and sleeps again before the next one.
 */
function cpuOf(lab: Lab, pids: readonly number[]): { monitors: number; containers: number } {
  const containers = cgroupUsage(locateCgroup(readCgroupHost(), lab.cgroupParent)).cpu?.usageUsec;
  if (containers === undefined) throw new Error('no cgroup here counts CPU time');
  return { monitors: pids.reduce((sum, pid) => sum + onCpuUsec(pid), 0), containers };
}

function pssKiB(pid: number): number {
  return Number(/^Pss:\s+([0-9]+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
}

function medianMs([program = '', ...args]: readonly string[]): number {
  const times = Array.from({ length: PS_ROUNDS }, () => {
    const start = performance.now();
    spawnSync(program, args, { stdio: 'ignore' });
    return performance.now() - start;
  }).sort((a, b) => a - b);
  return times[Math.floor(times.length / 2)] ?? Number.NaN;
}

await main(Number(process.argv[2] ?? 60));
