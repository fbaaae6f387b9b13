/** What is left of a container when a process that worked on it dies, and who collects it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../src/base/errors.ts';
import {
  createContainer,
  execContainer,
  inspectContainer,
  listContainers,
  readLogs,
  reconcile,
  reconcileAll,
  removeContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from '../../src/engine/mod.ts';
import { open, type Tare } from '../../src/mod.ts';
import { changePhase, createStateDir, readExit, readLifeState } from '../../src/runtime/state.ts';
import { readCgroupHost } from '../../src/runtime/cgroup/mod.ts';
import { Fd, tryLock } from '../../src/sys/mod.ts';
import { canRun, hasCgroups, isAlive, Lab, outcome, program, read, slowness, until } from './lab.ts';

const skip = canRun;

/** Pids in a container's cgroup. */
function members(lab: Lab, id: string): number[] {
  const { root, hierarchies } = readCgroupHost();
  return [
    ...new Set(
      hierarchies.flatMap(({ dir }) =>
        read(join(root, dir, lab.cgroupParent, id, 'cgroup.procs'))
          .split('\n')
          .filter(Boolean)
          .map(Number),
      ),
    ),
  ].filter((pid) => pid > 0);
}

const openTare = (lab: Lab): Promise<Tare> => {
  const { root, runRoot, storageRoot, storageRunRoot } = lab.engine;
  const { cgroupParent } = lab;
  return open({ root, runRoot, storageRoot, storageRunRoot, cgroupParent });
};

test(
  'reconcile: a container whose monitor was killed is killed before its exit is recorded',
  { skip: skip || hasCgroups },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sh', '-c', 'sleep 1000 & setsid sleep 1000 & sleep 1000'], { name: 'lost' });
    await until(() => members(lab, id).length === 3, 5000, 'it has its processes');
    const pids = members(lab, id);
    // Frozen, they cannot follow the monitor into death: whoever records the exit must have killed them.
    const freezer = `/sys/fs/cgroup/freezer${lab.cgroupParent}/${id}/freezer.state`;
    const frozen = existsSync(freezer);
    if (frozen) writeFileSync(freezer, 'FROZEN');
    const monitor = lab.monitorOf(id);
    process.kill(monitor, 'SIGKILL');
    await until(() => !isAlive(monitor), 5000, 'the monitor is dead');
    if (frozen) assert.deepEqual(pids.filter(isAlive), pids);
    assert.equal(readExit(lab.at(id)), undefined);
    assert.equal(listContainers(lab.engine)[0]?.state, 'dead');
    const collector = spawn(process.execPath, [program('collects'), JSON.stringify(lab.options)], {
      stdio: 'inherit',
    });
    const collected = once(collector, 'exit');
    for (let done = false; !done && collector.exitCode === null; await turn()) {
      done = existsSync(lab.at(id, 'exit'));
      if (done) assert.deepEqual(pids.filter(isAlive), []);
    }
    assert.deepEqual(await collected, [0, null]);
    assert.match((await lab.tare('ps', '-a', '--format', '{{.Names}} {{.Status}}')).stdout, /^lost Exited \(137\)/);
    assert.deepEqual(readLifeState(lab.at(id)), { phase: 'exited', held: false });
    const exit = readExit(lab.at(id));
    assert.deepEqual([exit?.code, exit?.signal, exit?.oom], [137, 9, false]);
    assert.ok(exit !== undefined && exit.startedAt <= exit.finishedAt);
    assert.deepEqual(lab.cgroups(), []);
    assert.equal(existsSync(join(lab.engine.socketsDir, id)), false);
    // It can be started again.
    await startContainer(lab.engine, 'lost', { attach: false, stdin: false });
    await removeContainer(lab.engine, 'lost', { force: true });
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('reconcile: whoever looks at a container whose monitor died collects it', { skip }, async () => {
  await using lab = new Lab();
  const looks: Readonly<Record<string, (id: string) => Promise<unknown>>> = {
    inspect: (id) => inspectContainer(lab.engine, id),
    wait: (id) => waitContainer(lab.engine, id),
    stop: (id) => stopContainer(lab.engine, id),
    exec: (id) => execContainer(lab.engine, id, { argv: ['true'] }, 'pipe'),
    start: (id) => startContainer(lab.engine, id, { attach: false, stdin: false }),
    rm: (id) => removeContainer(lab.engine, id),
  };
  for (const [what, look] of Object.entries(looks)) {
    const { id } = await lab.detached(['sleep', '1000']);
    const monitor = lab.monitorOf(id);
    process.kill(monitor, 'SIGKILL');
    await until(() => !isAlive(monitor), 5000, 'the monitor is dead');
    await look(id).catch((error: unknown) =>
      assert.ok(isKind(error, 'failed-precondition'), `${what}: ${String(error)}`),
    );
    if (what !== 'start' && what !== 'rm') assert.equal(readExit(lab.at(id))?.code, 137, what);
    if (what !== 'rm') await removeContainer(lab.engine, id, { force: true });
    assert.deepEqual(await lab.leftovers(), [], what);
  }
});

test('waitContainer returns 137 when the monitor dies while it waits', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000']);
  const wait = waitContainer(lab.engine, id);
  await sleep(20);
  process.kill(lab.monitorOf(id), 'SIGKILL');
  assert.equal((await wait)?.code, 137);
  const cancel = new AbortController();
  const { id: other } = await lab.detached(['sleep', '1000']);
  const cancelled = waitContainer(lab.engine, other, { signal: cancel.signal });
  cancel.abort();
  await assert.rejects(cancelled, (error) => isKind(error, 'cancelled'));
});

test(
  '--rm holds when the monitor is killed: the attached client, or else the next command, removes it',
  { skip },
  async () => {
    await using lab = new Lab();
    const client = lab.startTare(['run', '--rm', '--name', 'attached', `--rootfs=${lab.rootfs}:O`, 'sleep', '1000']);
    await until(() => listContainers(lab.engine)[0]?.state === 'running', 5000, 'it runs');
    process.kill(lab.monitorOf(listContainers(lab.engine)[0]?.id ?? ''), 'SIGKILL');
    const { code, stderr } = await outcome(client);
    assert.equal(code, 125, stderr);
    assert.match(stderr, /^Error: Cannot wait for container attached: the connection to its monitor ended\n$/);
    assert.deepEqual(await lab.leftovers(), []);

    const { id } = await lab.detached(['sleep', '1000'], { autoRemove: true });
    process.kill(lab.monitorOf(id), 'SIGKILL');
    await sleep(20);
    await reconcileAll(lab.engine);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('--rm holds when the client is killed, and without it the container goes on', { skip }, async () => {
  await using lab = new Lab();
  for (const rm of [true, false]) {
    const args = ['run', ...(rm ? ['--rm'] : []), '--name', 'it', `--rootfs=${lab.rootfs}:O`];
    const client = lab.startTare([...args, 'sh', '-c', 'echo up; while [ ! -e /go ]; do sleep 0.01; done; exit 5']);
    await once(client.stdout ?? client, 'data');
    client.kill('SIGKILL');
    await once(client, 'exit');
    const [found] = listContainers(lab.engine);
    assert.equal(found?.state, 'running');
    const id = found?.id ?? '';
    await execContainer(lab.engine, id, { argv: ['touch', '/go'] }, 'detach').then((session) => session.close());
    if (rm) {
      await waitContainer(lab.engine, id, { condition: 'removed' }).catch((error: unknown) =>
        assert.ok(isKind(error, 'not-found'), String(error)),
      );
    } else {
      assert.equal((await waitContainer(lab.engine, id))?.code, 5);
      await removeContainer(lab.engine, 'it');
    }
    assert.deepEqual(await lab.leftovers(), []);
  }
});

test(
  'a container killed with its monitor and everything at once is recorded by the next command',
  { skip },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sleep', '1000']);
    const monitor = lab.monitorOf(id);
    for (const pid of [...members(lab, id), monitor]) process.kill(pid, 'SIGKILL');
    await until(() => !isAlive(monitor), 5000, 'the monitor is dead');
    await reconcile(lab.engine, id);
    assert.equal(readExit(lab.at(id))?.code, 137);
    await removeContainer(lab.engine, id);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('reconcile uses the cgroup a container was started in, also under another --cgroup-parent', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sleep', '1000'], { autoRemove: true });
  const pids = members(lab, id);
  const freezer = `/sys/fs/cgroup/freezer${lab.cgroupParent}/${id}/freezer.state`;
  if (existsSync(freezer)) writeFileSync(freezer, 'FROZEN');
  const monitor = lab.monitorOf(id);
  process.kill(monitor, 'SIGKILL');
  await until(() => !isAlive(monitor), 30_000, 'the monitor is dead');
  await reconcile({ ...lab.engine, cgroups: { ...lab.engine.cgroups, parent: `${lab.cgroupParent}-other` } }, id);
  assert.deepEqual(pids.filter(isAlive), []);
  assert.deepEqual(await lab.leftovers(), []);
});

/** A container that is half made, by a process that was killed. */
async function dieCreating(lab: Lab, ...rm: '--rm'[]): Promise<void> {
  const child = spawn(
    process.execPath,
    [program('dies-creating'), JSON.stringify(lab.options), 'half', lab.source, ...rm],
    {
      stdio: 'inherit',
    },
  );
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL');
  assert.equal(readdirSync(lab.engine.containersDir).filter((entry) => entry !== '.creating').length, 1);
}

for (const rm of [[], ['--rm']] as '--rm'[][]) {
  test(
    `a creation ${rm.join('')} that was killed is collected by the next command, its name is free`,
    { skip },
    async () => {
      await using lab = new Lab();
      await dieCreating(lab, ...rm);
      assert.deepEqual(listContainers(lab.engine), []);
      await reconcileAll(lab.engine);
      assert.deepEqual(await lab.leftovers(), []);
    },
  );
}

test(
  'what removes itself and was lost with the run root (a reboot) is removed whole by the next command',
  { skip },
  async () => {
    await using lab = new Lab();
    for (const lose of [() => dieCreating(lab, '--rm'), () => lostWhileRunning(lab)]) {
      await lose();
      const [id = ''] = readdirSync(lab.engine.scratchDir);
      assert.ok(existsSync(join(lab.engine.scratchDir, id, 'upper')));
      rmSync(lab.engine.volatileDir, { recursive: true });
      assert.deepEqual(await lab.tare('ps', '-aq'), { code: 0, stdout: '', stderr: '' });
      assert.deepEqual(await lab.leftovers(), []);
    }
  },
);

test('create --rm: it waits for its start over a reboot, and then removes itself', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await createContainer(lab.engine, {
    source: lab.source,
    argv: ['true'],
    name: 'once',
    autoRemove: true,
  });
  rmSync(lab.engine.runRoot, { recursive: true });
  assert.deepEqual(await lab.tare('ps', '-aq', '--no-trunc'), { code: 0, stdout: `${id}\n`, stderr: '' });
  assert.equal((await lab.tare('start', '-a', 'once')).code, 0);
  assert.deepEqual(await lab.leftovers(), []);
});

async function lostWhileRunning(lab: Lab): Promise<void> {
  const { id } = await lab.detached(['sleep', '1000'], { autoRemove: true });
  const monitor = lab.monitorOf(id);
  process.kill(monitor, 'SIGKILL');
  await until(() => !isAlive(monitor), 5000, 'the monitor is dead');
}

test(
  'a container that removes itself and died between its parts is removed by the next command',
  { skip },
  async () => {
    await using lab = new Lab();
    await lab.run(['true']);
    const { containersDir, volatileDir, scratchDir, trashDir } = lab.engine;
    // Linked, not there yet.
    const early = 'a'.repeat(64);
    symlinkSync(join(volatileDir, early), join(containersDir, early));
    // In the trash: all of it, and all but the link.
    const whole = 'b'.repeat(64);
    mkdirSync(join(volatileDir, whole));
    writeFileSync(join(volatileDir, whole, 'life'), '');
    mkdirSync(join(scratchDir, whole, 'upper'), { recursive: true });
    symlinkSync(join(volatileDir, whole), join(trashDir, whole));
    const late = 'c'.repeat(64);
    symlinkSync(join(volatileDir, late), join(trashDir, late));
    assert.deepEqual(await lab.tare('ps', '-aq'), { code: 0, stdout: '', stderr: '' });
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('the log of a container that removes itself is on the disk, and is followed to its end', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sh', '-c', 'echo one; while [ ! -e /go ]; do sleep 0.01; done; echo two'], {
    autoRemove: true,
  });
  const records: string[] = [];
  for await (const { text } of readLogs(lab.engine, id, { follow: true })) {
    records.push(Buffer.from(text).toString());
    if (records.length === 1) (await execContainer(lab.engine, id, { argv: ['touch', '/go'] }, 'detach')).close();
  }
  assert.deepEqual(records, ['one', 'two']);
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'reconcileAll: a creation in progress is left alone, one that died before its first entry is collected',
  { skip },
  async () => {
    await using lab = new Lab();
    await lab.run(['true']);
    const alive = lab.at('a'.repeat(64));
    const life = createStateDir(alive);
    const embryo = lab.at('b'.repeat(64));
    mkdirSync(embryo);
    {
      // Somebody is between mkdir and lock: it may be this one.
      using gate = Fd.adopt(openSync(lab.at('.creating'), 'a+'));
      assert.ok(tryLock(gate, 'read'));
      await reconcileAll(lab.engine);
      assert.deepEqual([existsSync(alive), existsSync(embryo)], [true, true]);
    }
    await reconcileAll(lab.engine);
    assert.deepEqual([existsSync(alive), existsSync(embryo)], [true, false]);
    life.close();
    await reconcileAll(lab.engine);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('a removal that was killed is finished by the next command', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await createContainer(lab.engine, { source: lab.source, argv: ['true'], name: 'dying' });
  changePhase(lab.at(id), 'created', 'removing');
  await reconcileAll(lab.engine);
  assert.deepEqual(await lab.leftovers(), []);
  // Killed after the rename into the trash, before the name was free.
  mkdirSync(join(lab.engine.trashDir, 'c'.repeat(64), 'upper/deep'), { recursive: true });
  symlinkSync('c'.repeat(64), join(lab.engine.namesDir, 'dying'));
  const made = await createContainer(lab.engine, { source: lab.source, argv: ['true'], name: 'dying' });
  assert.equal(made.name, 'dying');
  await lab.tare('rm', 'dying');
  await reconcileAll(lab.engine);
  assert.deepEqual(await lab.leftovers(), []);
});

test('names: of many that take over a name whose container is gone, one gets it', { skip }, async () => {
  await using lab = new Lab();
  await lab.run(['true']);
  symlinkSync('d'.repeat(64), join(lab.engine.namesDir, 'old'));
  const results = await Promise.all(
    Array.from({ length: 6 }, () => lab.tare('create', '--name', 'old', `--rootfs=${lab.rootfs}:O`, 'true')),
  );
  assert.deepEqual(
    results.map(({ code }) => code).sort((a, b) => Number(a) - Number(b)),
    [0, 125, 125, 125, 125, 125],
    JSON.stringify(results),
  );
  await removeContainer(lab.engine, 'old');
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'restart: a new exit replaces the old one, and a monitor killed in the second run is not hidden by the first',
  { skip },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sh', '-c', '[ -e /ran ] && exec sleep 1000; touch /ran; exit 4']);
    assert.equal((await waitContainer(lab.engine, id))?.code, 4);
    await startContainer(lab.engine, id, { attach: false, stdin: false });
    process.kill(lab.monitorOf(id), 'SIGKILL');
    assert.equal((await waitContainer(lab.engine, id))?.code, 137);
    await removeContainer(lab.engine, id);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

for (const how of ['wait', 'leave', 'throw']) {
  test(
    `a program that ${how === 'wait' ? 'is killed' : `${how}s`} takes its containers along within 2 s`,
    { skip },
    async () => {
      await using lab = new Lab();
      const { root, runRoot, storageRoot, storageRunRoot } = lab.engine;
      const { cgroupParent } = lab;
      const roots = { root, runRoot, storageRoot, storageRunRoot, cgroupParent, source: lab.source };
      const child = spawn(process.execPath, [program('owner'), JSON.stringify(roots), '3', how], {
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const lines = createInterface(child.stdout);
      const [line] = (await once(lines, 'line')) as [string];
      const containers = JSON.parse(line) as { id: string; pid: number }[];
      assert.equal(containers.length, 3);
      if (how === 'wait') {
        assert.deepEqual(
          containers.map(({ pid }) => isAlive(pid)),
          [true, true, true],
        );
        child.kill('SIGKILL');
      }
      const began = performance.now();
      await until(() => containers.every(({ id }) => !existsSync(lab.at(id))), 2000, 'they are removed');
      assert.deepEqual(await lab.leftovers(2000 - (performance.now() - began) / slowness), []);
    },
  );
}

test('Tare: leaving the scope, aborting and disposing remove the container', { skip }, async () => {
  await using lab = new Lab();
  {
    await using tare = await openTare(lab);
    await using box = await tare.run(lab.source, ['sleep', '1000']);
    assert.deepEqual(
      tare.ps().map(({ id }) => id),
      [box.id],
    );
  }
  assert.deepEqual(await lab.leftovers(), []);

  await using tare = await openTare(lab);
  const abort = new AbortController();
  const box = await tare.run(lab.source, ['sleep', '1000'], { signal: abort.signal });
  setTimeout(() => abort.abort(), 20);
  assert.equal((await box.wait()).code, 137);
  assert.deepEqual(await lab.leftovers(), []);
  await assert.rejects(tare.run(lab.source, ['true'], { signal: abort.signal }), (error) => isKind(error, 'cancelled'));
  assert.deepEqual(await lab.leftovers(), []);

  for (let i = 0; i < 3; i++) await tare.run(lab.source, ['sleep', '1000']);
  await tare[Symbol.asyncDispose]();
  assert.deepEqual(await lab.leftovers(), []);
});

test('Tare: a signal aborted while the container is being made leaves nothing', { skip }, async () => {
  await using lab = new Lab();
  await using tare = await openTare(lab);
  for (let delay = 0; delay < 12; delay += 2) {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), delay);
    await tare.run(lab.source, ['sleep', '1000'], { signal: abort.signal }).then(
      async (box) => assert.equal((await box.wait()).code, 137),
      (error: unknown) => assert.ok(error instanceof Error),
    );
    assert.deepEqual(await lab.leftovers(), []);
  }
});

test('reconcileAll: a container that keeps forking is killed whole', { skip: skip || hasCgroups }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sh', '-c', 'while :; do sleep 1000 & sleep 0.001; done'], {
    resources: { pidsLimit: 200 },
  });
  await until(() => members(lab, id).length > 50, 5000, 'it forks');
  process.kill(lab.monitorOf(id), 'SIGKILL');
  await until(() => readLifeState(lab.at(id))?.held === false, 5000, 'its life lock is free');
  await reconcileAll(lab.engine);
  assert.deepEqual(members(lab, id), []);
  assert.equal(readExit(lab.at(id))?.code, 137);
  await removeContainer(lab.engine, id);
  assert.deepEqual(await lab.leftovers(), []);
});
