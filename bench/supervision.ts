/**
 * What supervision costs while nothing happens: `tools/node bench/supervision.ts [SECONDS]`. 200 detached containers with a health check every
 * 30 s among 1,000 that are recorded: memory and CPU of their monitors, and `tare ps`. Needs root and busybox. Touches no container of yours.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createContainer } from '../src/engine/mod.ts';
import { Lab } from '../test/engine/lab.ts';

const RUNNING = 200;
const RECORDED = 1000;
const TICKS_PER_SECOND = 100;
const PS_ROUNDS = 15;
const goals = { pssMiB: 120, cpuPercent: 5, psMs: 60 };

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
  const before = cpuOf(monitors);
  await sleep(seconds * 1000);
  const after = cpuOf(monitors);
  const pss = monitors.reduce((sum, pid) => sum + pssKiB(pid), 0) / 1024;
  const own = ((after.own - before.own) / TICKS_PER_SECOND / seconds) * 100;
  const all = ((after.all - before.all) / TICKS_PER_SECOND / seconds) * 100;
  console.log(`${monitors.length} monitors: PSS ${pss.toFixed(1)} MiB (goal ${goals.pssMiB})`);
  console.log(
    `CPU of one core: monitors ${own.toFixed(2)} %, with the checks they ran ${all.toFixed(2)} % (goal ${goals.cpuPercent})`,
  );
  const empty = join(lab.dir, 'empty.js');
  writeFileSync(empty, '');
  mkdirSync(join(lab.dir, 'nowhere'));
  const bare = medianMs([process.execPath, empty]);
  const ps = medianMs([...lab.options.self, 'ps']);
  console.log(
    `tare ps: ${ps.toFixed(1)} ms, bare Node ${bare.toFixed(1)} ms: + ${(ps - bare).toFixed(1)} (goal ${goals.psMs})`,
  );
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

/** Ticks of the processes, and with those of the children they waited for. */
function cpuOf(pids: readonly number[]): { own: number; all: number } {
  let own = 0;
  let all = 0;
  for (const pid of pids) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15);
    own += user + system;
    all += user + system + childUser + childSystem;
  }
  return { own, all };
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
