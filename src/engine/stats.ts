import { readFileSync, statSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { monotonicMs, sleep } from '../base/clock.ts';
import { type CgroupPlace, cgroupUsage } from '../runtime/cgroup/mod.ts';
import { readLifeState, readPhase, readPid, readStartedAt } from '../runtime/state.ts';
import { cgroupPlace } from './cgroups.ts';
import type { Engine } from './engine.ts';
import { containerIds, isSandbox, resolveContainer } from './names.ts';
import { type ContainerRecord, containerDir, findRecord } from './record.ts';

/** What one container used. Counters are totals since its start. */
export interface StatsSample {
  readonly id: string;
  readonly name: string;
  /** It runs (or is paused); if not, everything is 0. */
  readonly up: boolean;
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  /** Of one processor, since the sample before: 150 is one and a half processors busy, as docker shows it. */
  readonly cpuPercent: number;
  readonly cpuUsec: number;
  /** Without file pages that could be dropped at once. */
  readonly memoryBytes: number;
  /** The container's limit, or what the machine has. */
  readonly memoryLimitBytes: number;
  /** Over all interfaces but the loopback; 0 with the host's network. */
  readonly netReceivedBytes: number;
  readonly netSentBytes: number;
  readonly blockReadBytes: number;
  readonly blockWrittenBytes: number;
  readonly pids: number;
  /** RFC 3339; absent when it does not run. */
  readonly startedAt?: string;
}

export interface StatsOptions {
  /** Also containers that do not run, with zeros. */
  readonly all?: boolean;
  /** Between samples; default 1000. */
  readonly intervalMs?: number;
  /** Ends the sampling, without an error. */
  readonly signal?: AbortSignal;
}

/**
 * Samples containers at an interval, all of them together, until the caller stops or, when containers are named, none of those is left. Without names: whichever run at that
 * moment. The first samples come after the first interval: that is what their CPU share is of.
 *
 * Errors: not-found, invalid for a name.
 */
export async function* containerStats(
  engine: Engine,
  names: readonly string[] = [],
  options: StatsOptions = {},
): AsyncGenerator<readonly StatsSample[]> {
  const named = names.length === 0 ? undefined : new Set(names.map((name) => resolveContainer(engine, name)));
  const sampler = new Sampler(engine, named, options.all === true || named !== undefined);
  const intervalMs = options.intervalMs ?? 1000;
  sampler.sample();
  let next = monotonicMs() + intervalMs;
  for (;;) {
    try {
      await sleep(Math.max(0, next - monotonicMs()), options.signal);
    } catch {
      return;
    }
    // A machine that was asleep is not asked for what it missed.
    next = Math.max(next + intervalMs, monotonicMs());
    const samples = sampler.sample();
    yield samples;
    if (named !== undefined && samples.length === 0) return;
  }
}

/** What is remembered of a container's run between two samples. */
interface Run {
  readonly record: ContainerRecord;
  /** Inode and time of the record: it is replaced when the container gets another name. */
  readonly recordStamp: string;
  readonly place: CgroupPlace;
  readonly pid: number;
  readonly startedAt: string | undefined;
  cpuUsec: number;
  atMs: number;
}

class Sampler {
  readonly #engine: Engine;
  readonly #named: ReadonlySet<string> | undefined;
  readonly #all: boolean;
  #runs = new Map<string, Run>();

  constructor(engine: Engine, named: ReadonlySet<string> | undefined, all: boolean) {
    this.#engine = engine;
    this.#named = named;
    this.#all = all;
  }

  /** Newest first. */
  sample(): StatsSample[] {
    const runs = new Map<string, Run>();
    const samples: { readonly createdAt: string; readonly sample: StatsSample }[] = [];
    for (const id of this.#named ?? containerIds(this.#engine)) {
      if (this.#named === undefined && isSandbox(this.#engine, id)) continue;
      const dir = containerDir(this.#engine, id);
      const run = this.#known(id, dir) ?? this.#begin(id, dir);
      const sample = run === undefined ? undefined : measure(run);
      if (run !== undefined && sample !== undefined) {
        runs.set(id, run);
        samples.push({ createdAt: run.record.createdAt, sample });
      } else if (this.#all) {
        const record = readPhase(dir) === 'creating' ? undefined : findRecord(this.#engine, id);
        if (record !== undefined) samples.push({ createdAt: record.createdAt, sample: still(record) });
      }
    }
    this.#runs = runs;
    return samples.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1)).map(({ sample }) => sample);
  }

  /** The usual case costs two looks: it is the same run, under the same name. Whether it still runs, its cgroup tells. */
  #known(id: string, dir: string): Run | undefined {
    const run = this.#runs.get(id);
    return run !== undefined && readPid(dir)?.pid === run.pid && stampOf(dir) === run.recordStamp ? run : undefined;
  }

  #begin(id: string, dir: string): Run | undefined {
    const state = readLifeState(dir);
    if (state?.phase !== 'running' || !state.held) return undefined;
    const recordStamp = stampOf(dir);
    const record = findRecord(this.#engine, id);
    const pid = readPid(dir)?.pid;
    if (record === undefined || pid === undefined) return undefined;
    const before = this.#runs.get(id);
    if (before?.pid === pid) return { ...before, record, recordStamp };
    return {
      record,
      recordStamp,
      place: cgroupPlace(this.#engine, record),
      pid,
      startedAt: readStartedAt(dir),
      cpuUsec: 0,
      atMs: 0,
    };
  }
}

function stampOf(dir: string): string {
  const stat = statSync(join(dir, 'container.json'), { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino} ${stat.mtimeMs}`;
}

function still({ id, name }: ContainerRecord): StatsSample {
  return {
    id,
    name,
    up: false,
    timeMs: Date.now(),
    cpuPercent: 0,
    cpuUsec: 0,
    memoryBytes: 0,
    memoryLimitBytes: 0,
    netReceivedBytes: 0,
    netSentBytes: 0,
    blockReadBytes: 0,
    blockWrittenBytes: 0,
    pids: 0,
  };
}

/** Reads the counters of a container that runs, and remembers them. Undefined when its cgroup is gone. */
function measure(run: Run): StatsSample | undefined {
  const { record } = run;
  const { cpu, memory, pids, io } = cgroupUsage(run.place);
  // A cgroup without processes is on its way out, or not yet in use.
  if (pids?.current === 0 || (cpu === undefined && memory === undefined && pids === undefined)) return undefined;
  const atMs = monotonicMs();
  const cpuUsec = cpu?.usageUsec ?? 0;
  const cpuPercent = run.atMs > 0 && atMs > run.atMs ? ((cpuUsec - run.cpuUsec) / 1000 / (atMs - run.atMs)) * 100 : 0;
  run.cpuUsec = cpuUsec;
  run.atMs = atMs;
  const net = record.network === 'host' ? { received: 0, sent: 0 } : networkBytes(run.pid);
  return {
    id: record.id,
    name: record.name,
    up: true,
    timeMs: Date.now(),
    cpuPercent: Math.max(0, cpuPercent),
    cpuUsec,
    memoryBytes: memory?.workingSetBytes ?? 0,
    memoryLimitBytes: Math.min(memory?.limitBytes ?? Infinity, totalmem()),
    netReceivedBytes: net.received,
    netSentBytes: net.sent,
    blockReadBytes: io?.readBytes ?? 0,
    blockWrittenBytes: io?.writeBytes ?? 0,
    pids: pids?.current ?? 0,
    ...(run.startedAt === undefined ? {} : { startedAt: run.startedAt }),
  };
}

/** The counters of the network namespace of a process, which /proc shows from outside. */
function networkBytes(pid: number): { readonly received: number; readonly sent: number } {
  let text = '';
  try {
    text = readFileSync(`/proc/${pid}/net/dev`, 'latin1');
  } catch {
    // It ended.
  }
  let received = 0;
  let sent = 0;
  for (const line of text.split('\n').slice(2)) {
    const colon = line.indexOf(':');
    if (colon < 0 || line.slice(0, colon).trim() === 'lo') continue;
    const fields = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/);
    received += Number(fields[0]);
    sent += Number(fields[8]);
  }
  return { received, sent };
}
