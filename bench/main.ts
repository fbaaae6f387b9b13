/**
 * `npm run bench`: measures Tare beside the peers that are installed and beside the floor, in one run. docs/how-to/benchmark.md explains
 * the figures. Runs twice: the first process compiles, makes the private directory and the namespaces, and cleans up; the second one,
 * started by it inside them with --inside, measures.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { messageOf } from '../src/base/errors.ts';
import type { Case } from './case.ts';
import { detached } from './cases/detached.ts';
import { exec } from './cases/exec.ts';
import { floor } from './cases/floor.ts';
import { inProcess, inProcessIdle } from './cases/in-process.ts';
import { largeStore } from './cases/large-store.ts';
import { memory } from './cases/memory.ts';
import { network } from './cases/network.ts';
import { node } from './cases/node.ts';
import { parallel } from './cases/parallel.ts';
import { ps } from './cases/ps.ts';
import { pull, pullMemory } from './cases/pull.ts';
import { push, pushAgain } from './cases/push.ts';
import { run } from './cases/run.ts';
import { removeCgroups } from './cgroups.ts';
import { diskOf, makeDisk } from './own-disk.ts';
import { Lab } from './lab.ts';
import { describeMachine, describeSources, type Sources } from './machine.ts';
import { measureCase, type CaseResult } from './measure.ts';
import { parseOptions, usage, type Options } from './options.ts';
import { compilePrograms, runStage, watchOwner } from './stage.ts';
import { renderCase } from './table.ts';

const cases: readonly Case[] = [
  node,
  floor,
  run,
  network,
  largeStore,
  exec,
  ps,
  inProcess,
  inProcessIdle,
  parallel,
  memory,
  detached,
  pull,
  pullMemory,
  push,
  pushAgain,
];
const repository = dirname(import.meta.dirname);

/** What the first process tells the second. */
interface Order {
  readonly options: Options;
  readonly sources: Sources;
  readonly date: string;
}

/** Stage 1. Resolves to the exit code. */
async function begin(options: Options): Promise<number> {
  if (process.getuid?.() !== 0)
    throw new Error('Cannot run the bench: it needs root (namespaces, cgroups, and podman with a store of its own)');
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => abort.abort());
  // Lower case, unlike mkdtemp's: image names are made of it.
  const dir = join(tmpdir(), `tare-bench-${process.pid}-${Date.now().toString(36)}`);
  mkdirSync(dir, { mode: 0o700 });
  try {
    compilePrograms(repository, dir, process.env['CC'] ?? 'cc');
    makeDisk(dir);
    const order: Order = { options, sources: describeSources(repository), date: new Date().toISOString() };
    writeFileSync(join(dir, 'order.json'), JSON.stringify(order));
    const code = await runStage(
      [process.execPath, ...process.execArgv, join(import.meta.dirname, 'main.ts'), '--inside', dir],
      {
        dir,
        directory: process.cwd(),
        environment: process.env,
        signal: abort.signal,
        ...(options.peers === undefined ? {} : { peers: options.peers }),
      },
    );
    const result = join(dir, 'result.json');
    if (existsSync(result)) {
      mkdirSync(dirname(options.json), { recursive: true });
      copyFileSync(result, options.json);
      console.log(`figures: ${options.json}`);
    }
    return abort.signal.aborted ? 130 : code;
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** Stage 2. Resolves to the exit code: 1 when a row failed. */
async function measure(dir: string): Promise<number> {
  const { options, sources, date } = JSON.parse(readFileSync(join(dir, 'order.json'), 'utf8')) as Order;
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => abort.abort(new Error('interrupted')));
  const owner = watchOwner(abort);
  try {
    return await measureAll(dir, { options, sources, date }, abort.signal);
  } finally {
    removeCgroups(`/${basename(dir)}`);
    if (owner.dead) rmSync(dir, { recursive: true, force: true });
  }
}

async function measureAll(dir: string, { options, sources, date }: Order, signal: AbortSignal): Promise<number> {
  await using lab = new Lab({ repository, dir, disk: diskOf(dir), environment: process.env, signal });
  const machine = await describeMachine(lab);
  const changed = sources.changed ? ' with uncommitted changes' : '';
  console.log(
    `tare ${sources.commit.slice(0, 12)}${changed} on Linux ${machine.kernel}, cgroup ${machine.cgroup}, ${machine.system}`,
  );
  console.log(`${machine.cpus} CPUs (${machine.cpu}), load ${machine.load.toFixed(2)}, ${machine.disk}`);
  for (const [name, version] of Object.entries(machine.versions)) console.log(`  ${name}: ${version}`);
  console.log();
  const results: CaseResult[] = [];
  for (const subject of cases) {
    if (options.only.length > 0 && !options.only.includes(subject.name)) continue;
    const result = await measureCase(subject, lab, { ...options, signal });
    results.push(result);
    console.log(renderCase(result));
    // After every case: an interrupted run keeps what it has.
    writeFileSync(
      join(dir, 'result.json'),
      JSON.stringify({ schema: 1, date, sources, machine, options, cases: results }, undefined, 1),
    );
  }
  return results.some(({ rows }) => rows.some(({ failed }) => failed !== undefined)) ? 1 : 0;
}

try {
  const [first, dir, ...rest] = process.argv.slice(2);
  if (first === '--inside' && dir !== undefined && rest.length === 0) {
    process.exitCode = await measure(dir);
  } else {
    const names = cases.map(({ name }) => name);
    const options = parseOptions(process.argv.slice(2), names, {
      directory: process.cwd(),
      repository,
      now: new Date(),
    });
    if (options === 'help') console.log(usage.replace('CASES', names.join(', ')).trimEnd());
    else process.exitCode = await begin(options);
  }
} catch (error) {
  console.error(`tare bench: ${messageOf(error)}`);
  process.exitCode = 1;
}
