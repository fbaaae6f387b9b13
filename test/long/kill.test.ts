/**
 * kill -9 at random moments of clients and of monitors, with other containers running all the time (the "It holds").
 * TARE_ROUNDS: how many rounds of each, 100 unless set. TARE_SEED: repeats the moments of another run.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listContainers, reconcileAll, removeContainer, waitContainer } from '../../src/engine/mod.ts';
import { readExit, readLifeState } from '../../src/runtime/state.ts';
import { canRun, isAlive, Lab, outcome, until } from '../engine/lab.ts';
import { random } from '../support/random.ts';

const rounds = Number(process.env['TARE_ROUNDS'] ?? 100);
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);

/** Containers that run all the time, in the same roots, and must not notice anything. */
class Bystanders {
  readonly lab: Lab;
  readonly ids: string[] = [];
  #pids: number[] = [];
  #stopped = false;
  #short: Promise<number> = Promise.resolve(0);

  constructor(lab: Lab) {
    this.lab = lab;
  }

  async start(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      const { id, pid } = await this.lab.detached(['sh', '-c', 'trap "exit 42" TERM; while :; do sleep 0.05; done'], {
        name: `bystander-${i}`,
      });
      this.ids.push(id);
      this.#pids.push(pid);
    }
    this.#short = this.#runShort();
    this.#short.catch(() => {});
  }

  /** Short containers one after the other: their output and exit code must be right every time. */
  async #runShort(): Promise<number> {
    let count = 0;
    while (!this.#stopped) {
      const want = count % 200;
      const { code, stdout } = await this.lab.run(['sh', '-c', `echo bystander ${count}; exit ${want}`]);
      assert.deepEqual([code, stdout], [want, `bystander ${count}\n`]);
      count++;
      await sleep(20);
    }
    return count;
  }

  check(): void {
    for (const [i, id] of this.ids.entries()) {
      assert.deepEqual(readLifeState(this.lab.at(id)), { phase: 'running', held: true }, `bystander ${i}`);
      assert.ok(isAlive(this.#pids[i] ?? 0), `bystander ${i}`);
    }
  }

  /** Ends them and returns how many short ones ran. */
  async end(): Promise<number> {
    this.#stopped = true;
    const count = await this.#short;
    this.check();
    for (const id of this.ids) {
      process.kill(Number(readFileSync(this.lab.at(id, 'pid'), 'utf8').split(' ')[0]), 'SIGTERM');
      assert.equal((await waitContainer(this.lab.engine, id))?.code, 42);
      await removeContainer(this.lab.engine, id);
    }
    return count;
  }
}

/** Namespaces live in processes, mounts and descriptors: the first two are among the leftovers, these are our own. */
function heldNamespaces(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const link = readlinkSync(`/proc/self/fd/${fd}`);
      return /^(net|mnt|pid|user|uts|ipc|cgroup|time):\[/.test(link) ? [link] : [];
    } catch {
      return [];
    }
  });
}

/** Lines of /proc/locks about life locks in the lab. */
function heldLocks(lab: Lab): string[] {
  const inodes = new Set(
    existsSync(lab.engine.root)
      ? execFileSync('find', [lab.engine.root, '-name', 'life', '-printf', '%i\\n'], { encoding: 'utf8' })
          .split('\n')
          .filter(Boolean)
      : [],
  );
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .filter((line) => inodes.has(/:(\d+) \d+ \S+$/.exec(line)?.[1] ?? ''));
}

/** One victim of a round: how it is started, what its command does. */
interface Victim {
  readonly name: string;
  readonly args: readonly string[];
  readonly rm: boolean;
}

function victim(lab: Lab, round: number, dice: () => number): Victim {
  const rm = dice() < 0.6;
  const name = `victim-${round}`;
  const script = [
    'sleep 0.02; exit 3',
    'sleep 1000 & setsid sleep 1000 & sleep 1000',
    'yes | head -c 200000',
    'exit 3',
  ][Math.floor(dice() * 4)];
  const how = dice() < 0.3 ? ['-d'] : [];
  const args = [
    'run',
    ...(rm ? ['--rm'] : []),
    ...how,
    '--name',
    name,
    `--rootfs=${lab.rootfs}:O`,
    'sh',
    '-c',
    script ?? '',
  ];
  return { name, args, rm };
}

function isBeingCreated(lab: Lab, name: string): boolean {
  let id: string;
  try {
    id = readlinkSync(join(lab.engine.namesDir, name));
  } catch {
    return false;
  }
  const state = readLifeState(lab.at(id));
  return state?.phase === 'creating' && state.held;
}

/** What is left of a victim after a kill: nothing with --rm or a dead creation, else a container that ends in a proper state. */
async function settle(lab: Lab, { name, rm }: Victim): Promise<void> {
  const found = () => listContainers(lab.engine).find((container) => container.name === name);
  // Its monitor may have been born just before the client died: it finishes the start by itself.
  await until(() => !isBeingCreated(lab, name), 10_000, `${name} is created or given up`);
  const running = found();
  if (running?.state === 'running') {
    // It lives on without its client: end it.
    const pid = running.pid ?? 0;
    if (pid > 1 && isAlive(pid)) process.kill(pid, 'SIGKILL');
    await waitContainer(lab.engine, running.id).catch(() => {});
  }
  await reconcileAll(lab.engine);
  if (rm) {
    await until(() => found() === undefined, 10_000, `${name} is removed`);
    return;
  }
  const left = found();
  if (left === undefined) return;
  await until(() => ['exited', 'created'].includes(found()?.state ?? ''), 10_000, `${name} has ended`);
  if (found()?.state === 'exited') assert.notEqual(readExit(lab.at(left.id)), undefined, `${name} has an exit record`);
  await removeContainer(lab.engine, left.id);
}

async function everythingGone(lab: Lab, bystanders: Bystanders): Promise<void> {
  const own = new Set(bystanders.ids);
  const end = performance.now() + 10_000;
  for (;;) {
    const left = (await lab.leftovers(0)).filter(
      (line) =>
        ![...own].some((id) => line.includes(id)) && !/bystander|tare: monitor|process \d+ (sh|sleep)/.test(line),
    );
    // The short bystanders come and go.
    if (left.length === 0) return;
    if (performance.now() > end) assert.fail(left.join('\n'));
    await sleep(5);
  }
}

async function experiment(
  t: TestContext,
  kill: (lab: Lab, v: Victim, child: ChildProcess, dice: () => number) => Promise<boolean>,
): Promise<void> {
  t.diagnostic(`seed ${seed}, ${rounds} rounds`);
  const dice = random(seed);
  await using lab = new Lab();
  await lab.run(['true']);
  const bystanders = new Bystanders(lab);
  await bystanders.start();
  let hits = 0;
  for (let round = 0; round < rounds; round++) {
    const v = victim(lab, round, dice);
    const child = lab.startTare(v.args);
    child.stdout?.resume();
    child.stderr?.resume();
    const exited = once(child, 'exit');
    if (await kill(lab, v, child, dice)) hits++;
    child.kill('SIGKILL');
    await exited;
    await settle(lab, v);
    bystanders.check();
    if (round % 10 === 9) await everythingGone(lab, bystanders);
  }
  const shorts = await bystanders.end();
  t.diagnostic(`${hits} of ${rounds} kills hit something alive; ${shorts} containers ran beside`);
  assert.ok(hits > rounds / 4, `only ${hits} hits`);
  await reconcileAll(lab.engine);
  assert.deepEqual(await lab.leftovers(), []);
  assert.deepEqual(heldLocks(lab), []);
  assert.deepEqual(heldNamespaces(), []);
}

test(`kill -9 of the client at ${rounds} random moments leaves nothing`, { skip: canRun }, (t) =>
  experiment(t, async (_lab, _v, child, dice) => {
    // A start takes some 60 ms, what follows the same again.
    await sleep(dice() * 150);
    const alive = child.exitCode === null && child.signalCode === null;
    child.kill('SIGKILL');
    return alive;
  }),
);

test(`kill -9 of the monitor at ${rounds} random moments leaves nothing`, { skip: canRun }, (t) =>
  experiment(t, async (lab, v, child, dice) => {
    const monitor = await monitorOf(lab, v.name, child);
    if (monitor === undefined) return false;
    await sleep(dice() * dice() * 60);
    try {
      process.kill(monitor, 'SIGKILL');
    } catch {
      return false;
    }
    const end = performance.now() + 10_000;
    // The client notices by itself.
    while (child.exitCode === null && child.signalCode === null && performance.now() < end) await sleep(2);
    assert.ok(child.exitCode !== null || child.signalCode !== null, `the client of ${v.name} hangs`);
    await until(() => !isAlive(monitor), 10_000, `the monitor of ${v.name} is dead`);
    return true;
  }),
);

test(
  `kill -9 of programs that own containers at ${Math.ceil(rounds / 4)} random moments takes the containers along`,
  { skip: canRun },
  async (t) => {
    t.diagnostic(`seed ${seed}`);
    const dice = random(seed + 1);
    await using lab = new Lab();
    await lab.run(['true']);
    const bystanders = new Bystanders(lab);
    await bystanders.start();
    const { root, runRoot, storageRoot, storageRunRoot } = lab.engine;
    const { cgroupParent } = lab;
    const roots = JSON.stringify({ root, runRoot, storageRoot, storageRunRoot, cgroupParent, source: lab.source });
    for (let round = 0; round < rounds / 4; round++) {
      const owner = spawn(process.execPath, [join(import.meta.dirname, '../engine/owner.ts'), roots, '3', 'wait'], {
        stdio: 'ignore',
      });
      const exited = once(owner, 'exit');
      await sleep(100 + dice() * 300);
      owner.kill('SIGKILL');
      await exited;
      const others = () =>
        listContainers(lab.engine).filter(
          ({ name, labels }) => !name.startsWith('bystander') && labels['short'] === undefined,
        );
      await until(
        () => others().every(({ command }) => command.join(' ').includes('bystander')),
        2000,
        'they are gone',
      );
      bystanders.check();
    }
    await bystanders.end();
    await reconcileAll(lab.engine);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(`kill -9 of client and monitor together at ${rounds} random moments leaves nothing`, { skip: canRun }, (t) =>
  experiment(t, async (lab, v, child, dice) => {
    const monitor = await monitorOf(lab, v.name, child);
    await sleep(dice() * 40);
    child.kill('SIGKILL');
    if (monitor === undefined) return false;
    try {
      process.kill(monitor, 'SIGKILL');
    } catch {
      return false;
    }
    await until(() => !isAlive(monitor), 10_000, `the monitor of ${v.name} is dead`);
    return true;
  }),
);

test('commands killed at random moments: outcome() of the others is right', { skip: canRun }, async () => {
  const dice = random(seed + 2);
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000'], { name: 'target' });
  for (let round = 0; round < rounds / 4; round++) {
    const children = ['exec target true', 'inspect target', 'ps -a', 'logs target', 'diff target'].map((line) =>
      lab.startTare(line.split(' ')),
    );
    const last = outcome(lab.startTare(['exec', 'target', 'sh', '-c', 'exit 9']));
    await sleep(dice() * 80);
    const ends = children.map((child) => once(child, 'exit'));
    for (const child of children) child.kill('SIGKILL');
    assert.equal((await last).code, 9);
    for (const [i, child] of children.entries())
      if (child.exitCode === null && child.signalCode === null) await ends[i];
    assert.deepEqual(readLifeState(lab.at(id)), { phase: 'running', held: true });
  }
  await removeContainer(lab.engine, id, { force: true });
  assert.deepEqual(await lab.leftovers(), []);
});

/** Pid of the monitor of a container that is being started, by its title; undefined when the client ended before one was seen. */
async function monitorOf(lab: Lab, name: string, child: ChildProcess): Promise<number | undefined> {
  for (;;) {
    for (const entry of readdirSync('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      try {
        if (readFileSync(`/proc/${entry}/cmdline`, 'latin1').startsWith(`tare: monitor ${name}\0`) && holds(lab, entry))
          return Number(entry);
      } catch {
        // Gone.
      }
    }
    if (child.exitCode !== null || child.signalCode !== null) return undefined;
    await sleep(1);
  }
}

function holds(lab: Lab, pid: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(lab.engine.root);
    } catch {
      return false;
    }
  });
}
