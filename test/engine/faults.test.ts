/** Two at once, too much, and not enough: each is a clear error or works, and nothing is left behind. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TareError, isKind } from '../../src/base/errors.ts';
import {
  createEngine,
  createContainer,
  execContainer,
  listContainers,
  removeContainer,
  runContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from '../../src/engine/mod.ts';
import { needs } from '../support/needs.ts';
import { canRun, clear, isAlive, Lab, outcome, until, type Outcome } from './lab.ts';

const skip = canRun;

const settled = <T>(results: readonly PromiseSettledResult<T>[]) => ({
  won: results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])),
  lost: results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : [])),
});

test('create: of processes that want one name, one gets it and the others already-exists', { skip }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 2; round++) {
    const results = await Promise.all(
      Array.from({ length: 6 }, () => lab.tare('create', '--name', 'one', `--rootfs=${lab.rootfs}:O`, 'true')),
    );
    const won = results.filter(({ code }) => code === 0);
    assert.equal(won.length, 1, JSON.stringify(results));
    for (const { code, stderr } of results.filter((result) => result !== won[0])) {
      assert.equal(code, 125);
      assert.match(stderr, /^Error: Cannot use name one: container [0-9a-f]{12} has it/);
    }
    assert.deepEqual(
      listContainers(lab.engine).map(({ id }) => id),
      [won[0]?.stdout.trim()],
    );
    await removeContainer(lab.engine, 'one');
    assert.deepEqual(await lab.leftovers(), []);
  }
});

test('runContainer: many at once with one name leave one container', { skip }, async () => {
  await using lab = new Lab();
  const { won, lost } = settled(
    await Promise.allSettled(Array.from({ length: 16 }, () => lab.detached(['sleep', '60'], { name: 'same' }))),
  );
  assert.equal(won.length, 1);
  for (const error of lost) clear('already-exists', /name same/)(error);
  assert.equal(listContainers(lab.engine)[0]?.state, 'running');
  await removeContainer(lab.engine, 'same', { force: true });
  assert.deepEqual(await lab.leftovers(), []);
});

test('stop against rm: both end well, whichever is first', { skip }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 8; round++) {
    const { id } = await lab.detached(['sh', '-c', 'trap "exit 3" TERM; while :; do sleep 0.01; done']);
    const stop = stopContainer(lab.anotherEngine(), id, { timeoutSeconds: 5 });
    await sleep(round * 2);
    const { lost } = settled(
      await Promise.allSettled([stop, removeContainer(lab.anotherEngine(), id, { force: true })]),
    );
    for (const error of lost) clear('not-found', /no such container/)(error);
    assert.deepEqual(listContainers(lab.engine), []);
  }
  assert.deepEqual(await lab.leftovers(), []);
});

test('rm against rm: one removes it, the others find it gone', { skip }, async () => {
  await using lab = new Lab();
  for (const force of [false, true]) {
    const { id } = force
      ? await lab.detached(['sleep', '60'])
      : await createContainer(lab.engine, { source: lab.source, argv: ['true'] });
    const results = settled(
      await Promise.allSettled(Array.from({ length: 8 }, () => removeContainer(lab.anotherEngine(), id, { force }))),
    );
    assert.ok(results.won.length >= 1);
    for (const error of results.lost) clear('not-found', /no such container/)(error);
    assert.deepEqual(await lab.leftovers(), []);
  }
  const { id } = await lab.detached(['sleep', '60']);
  const rms = await Promise.all(Array.from({ length: 4 }, () => lab.tare('rm', '-f', id)));
  for (const { code, stderr } of rms) assert.equal(code, 0, stderr);
  assert.deepEqual(await lab.leftovers(), []);
});

test('exec against stop: an exec runs, or fails clearly, and ends with its container', { skip }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 6; round++) {
    const { id } = await lab.detached(['sleep', '60'], { init: true });
    const execs = Array.from({ length: 6 }, async (_, i) => {
      await sleep(i * 3);
      const session = await execContainer(lab.anotherEngine(), id, { argv: ['sleep', '60'] }, 'pipe');
      const exit = await session.exit;
      session.close();
      return exit.code;
    });
    const results = Promise.allSettled(execs);
    await sleep(round * 3);
    await stopContainer(lab.anotherEngine(), id, { timeoutSeconds: 0 });
    const { won, lost } = settled(await results);
    for (const code of won) assert.equal(code, 137);
    for (const error of lost) {
      assert.ok(error instanceof TareError, String(error));
      assert.ok(
        ['failed-precondition', 'unavailable', 'not-found'].includes(error.kind),
        `${error.kind}: ${error.message}`,
      );
      assert.match(error.message, /^Cannot /);
    }
    assert.equal((await waitContainer(lab.engine, id))?.code, 137);
    await removeContainer(lab.engine, id);
  }
  assert.deepEqual(await lab.leftovers(), []);
});

test('the very first commands, all at once: each finds or makes what all need', { skip }, async () => {
  for (let round = 0; round < 3; round++) {
    await using lab = new Lab();
    const first = ['images', 'ps', 'images', 'info', 'images', 'ps'].map((verb) => lab.tare(verb));
    for (const { code, stderr } of await Promise.all(first)) assert.deepEqual([code, stderr], [0, '']);
  }
});

test('start against start: one start happens, the other attaches or says so', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await createContainer(lab.engine, {
    source: lab.source,
    argv: ['sh', '-c', 'echo x >> /count; sleep 60'],
  });
  const { lost } = settled(
    await Promise.allSettled(
      Array.from({ length: 8 }, () => startContainer(lab.anotherEngine(), id, { attach: false, stdin: false })),
    ),
  );
  for (const error of lost) clear('failed-precondition', /start/)(error);
  assert.ok(lost.length < 8);
  await until(() => existsSync(lab.at(id, 'upper/count')), 5000, 'it wrote its line');
  const session = await execContainer(lab.engine, id, { argv: ['cat', '/count'] }, 'pipe');
  let count = '';
  session.onOutput((_, bytes) => void (count += Buffer.from(bytes).toString()));
  await session.exit;
  session.close();
  assert.equal(count, 'x\n');
  await removeContainer(lab.engine, id, { force: true });
  assert.deepEqual(await lab.leftovers(), []);
});

test('start against rm: never a running container without a directory', { skip }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < 10; round++) {
    const { id } = await createContainer(lab.engine, { source: lab.source, argv: ['sleep', '60'] });
    const start = startContainer(lab.anotherEngine(), id, { attach: false, stdin: false });
    if (round > 0) await sleep(round);
    const rm = removeContainer(lab.anotherEngine(), id, { force: true });
    const { lost } = settled(await Promise.allSettled([start, rm]));
    for (const error of lost) assert.ok(error instanceof TareError, String((error as Error).stack));
    await removeContainer(lab.engine, id, { force: true }).catch((error: unknown) =>
      assert.ok(isKind(error, 'not-found'), String(error)),
    );
    assert.deepEqual(await lab.leftovers(), []);
  }
});

test('run: 64 at once in one program, every exit code and output right, no descriptor lost', { skip }, async () => {
  await using lab = new Lab();
  await lab.run(['true']);
  const descriptors = readdirSync('/proc/self/fd').length;
  const results = await Promise.all(
    Array.from({ length: 64 }, (_, i) => lab.run(['sh', '-c', `echo out ${i}; echo err ${i} >&2; exit ${i}`])),
  );
  for (const [i, { code, stdout, stderr }] of results.entries())
    assert.deepEqual([code, stdout, stderr], [i, `out ${i}\n`, `err ${i}\n`]);
  assert.deepEqual(await lab.leftovers(), []);
  assert.equal(readdirSync('/proc/self/fd').length, descriptors);
});

test('run: client processes at once, every exit code and output right', { skip }, async () => {
  await using lab = new Lab();
  const results = await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      lab.tare('run', '--rm', `--rootfs=${lab.rootfs}:O`, 'sh', '-c', `echo out ${i}; exit ${i}`),
    ),
  );
  for (const [i, { code, stdout, stderr }] of results.entries())
    assert.deepEqual([code, stdout, stderr], [i, `out ${i}\n`, '']);
  assert.deepEqual(await lab.leftovers(), []);
});

/** Mounts a tmpfs below the lab for one of its roots. */
function tmpfs(lab: Lab, options: string, where: 'root' | 'runRoot' = 'root'): Disposable {
  const path = lab.engine[where];
  mkdirSync(path, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tare-test', path]);
  return {
    [Symbol.dispose]: () => {
      spawnSync('umount', ['-l', path]);
    },
  };
}

const full = /no space left|disk is full|full/i;

function fill(path: string): void {
  try {
    writeFileSync(path, Buffer.alloc(64 * 1024 * 1024, 1));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
}

test(
  'a full disk: create and run say exhausted and leave nothing',
  { skip: skip || needs.program('mount') },
  async () => {
    await using lab = new Lab();
    using _mounted = tmpfs(lab, 'size=256k');
    await lab.run(['true']);
    fill(join(lab.engine.root, 'cache/seccomp-1-x64-0'));
    await assert.rejects(createContainer(lab.engine, { source: lab.source, argv: ['true'] }), clear('exhausted', full));
    await assert.rejects(lab.run(['true'], { autoRemove: false }), clear('exhausted', full));
    const { code, stderr } = await lab.tare('run', `--rootfs=${lab.rootfs}:O`, 'true');
    assert.equal(code, 125);
    assert.match(stderr, /^Error: Cannot [^\n]*no space left[^\n]*\n$/i);
    assert.deepEqual(await lab.leftovers(), []);
    rmSync(join(lab.engine.root, 'cache/seccomp-1-x64-0'));
    assert.equal((await lab.run(['true'])).code, 0);
  },
);

test(
  'a full run root: what would remove itself says exhausted and leaves nothing',
  { skip: skip || needs.program('mount') },
  async () => {
    await using lab = new Lab();
    using _mounted = tmpfs(lab, 'size=64k,nr_inodes=40', 'runRoot');
    await lab.run(['true']);
    const filler = join(lab.engine.socketsDir, 'filler');
    fill(filler);
    await assert.rejects(lab.run(['true']), clear('exhausted', full));
    const { code, stderr } = await lab.tare('run', '--rm', `--rootfs=${lab.rootfs}:O`, 'true');
    assert.equal(code, 125);
    assert.match(stderr, /^Error: Cannot [^\n]*no space left[^\n]*\n$/i);
    rmSync(filler);
    assert.deepEqual(await lab.leftovers(), []);
    assert.equal((await lab.run(['true'])).code, 0);
    // No inode for its directory either: what links to it goes, too.
    assert.deepEqual(await lab.leftovers(), []);
    const fillers = Array.from({ length: statfsSync(lab.engine.runRoot).ffree }, (_, i) => `${filler}-${i}`);
    for (const path of fillers) writeFileSync(path, '');
    await assert.rejects(lab.run(['true']), clear('exhausted', full));
    for (const path of fillers) rmSync(path);
    assert.deepEqual(await lab.leftovers(0), []);
  },
);

test('no inodes left: create says exhausted and leaves nothing', { skip: skip || needs.program('mount') }, async () => {
  await using lab = new Lab();
  using _mounted = tmpfs(lab, 'nr_inodes=40');
  await lab.run(['true']);
  // Its monitor leaves a moment after its client; from here on nothing but creations happens, and they start no process.
  assert.deepEqual(await lab.leftovers(), []);
  for (let i = 0; i < 34; i++) {
    try {
      writeFileSync(join(lab.engine.cacheDir, `seccomp-1-x64-${i}`), '');
    } catch {
      break;
    }
    const before = statfsSync(lab.engine.root).ffree;
    try {
      await createContainer(lab.engine, { source: lab.source, argv: ['true'], name: 'it' });
      await removeContainer(lab.engine, 'it');
    } catch (error) {
      clear('exhausted', /no space left|full/i)(error);
    }
    await until(() => statfsSync(lab.engine.root).ffree >= before, 2000, 'its inodes are free');
    assert.deepEqual(await lab.leftovers(0), []);
  }
});

test(
  'a full disk under a running container: its log stops, it does not',
  { skip: skip || needs.program('mount') },
  async () => {
    await using lab = new Lab();
    using _mounted = tmpfs(lab, 'size=1m');
    const { id } = await lab.detached(
      ['sh', '-c', 'for i in $(seq 40000); do echo a line that fills the disk; done; exit 7'],
      {
        mounts: [{ type: 'tmpfs', destination: '/tmp', options: [] }],
      },
    );
    const exit = await waitContainer(lab.engine, id);
    // Its exit is known as soon as there is room for the record.
    if (exit === undefined || exit.code !== 7) assert.fail(JSON.stringify(exit));
    await removeContainer(lab.engine, id);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('a read-only root directory: clear, nothing left', { skip: skip || needs.program('mount') }, async () => {
  await using lab = new Lab();
  using _mounted = tmpfs(lab, 'ro');
  await assert.rejects(lab.run(['true']), clear('denied', /read-only/i));
  const { code, stderr } = await lab.tare('run', '--rm', `--rootfs=${lab.rootfs}:O`, 'true');
  assert.equal(code, 125);
  assert.match(stderr, /^Error: Cannot [^\n]*read-only[^\n]*\n$/i);
  assert.deepEqual(await lab.leftovers(), []);
});

/** A shell that makes every cgroup mount read-only in a mount namespace of its own, then runs the rest. */
const withoutCgroups = [
  'unshare',
  '-m',
  'sh',
  '-c',
  `while read -r _ _ _ _ at _; do case $at in /sys/fs/cgroup*) mount -o remount,bind,ro "$at";; esac; done < /proc/self/mountinfo; exec "$@"`,
  'sh',
];

test(
  'no cgroup write access: a container runs with a warning, a limit is refused',
  { skip: skip || needs.program('unshare', 'mount') },
  async () => {
    await using lab = new Lab();
    const run = (...args: string[]): Promise<Outcome> =>
      outcome(
        lab.startTare(['run', '--rm', ...args, `--rootfs=${lab.rootfs}:O`, 'sh', '-c', 'echo ran'], withoutCgroups),
      );
    const plain = await run();
    assert.deepEqual([plain.code, plain.stdout], [0, 'ran\n'], plain.stderr);
    assert.match(plain.stderr, /cgroup/i);
    assert.deepEqual(await lab.leftovers(), []);
    const limited = await run('--memory', '64m');
    assert.equal(limited.code, 125, limited.stderr);
    assert.match(limited.stderr, /^Error: Cannot set the memory limit: /);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'a root that overlayfs cannot use, without fuse-overlayfs: clear, says what to do, nothing left',
  { skip: skip || needs.program('mount') },
  async () => {
    await using lab = new Lab();
    // A root on an overlay: overlayfs takes no upper directory from there.
    for (const name of ['root', 'up', 'wk', 'low']) mkdirSync(join(lab.dir, name));
    const layers = `lowerdir=${lab.dir}/low,upperdir=${lab.dir}/up,workdir=${lab.dir}/wk`;
    execFileSync('mount', ['-t', 'overlay', '-o', layers, 'tare-test', lab.engine.root]);
    try {
      const engine = createEngine({ ...lab.options, env: { PATH: lab.dir } });
      await assert.rejects(
        runContainer(engine, { source: lab.source, argv: ['true'] }, { detach: false }),
        clear('invalid', /choose another --root, or install fuse-overlayfs/),
      );
      assert.deepEqual(await lab.leftovers(), []);
    } finally {
      spawnSync('umount', ['-l', lab.engine.root]);
    }
  },
);

test(
  'a missing kernel feature: a process without user namespaces or mounts gets a clear error',
  { skip: skip || needs.program('setpriv') },
  async () => {
    await using lab = new Lab();
    const child = lab.startTare(
      ['run', '--rm', `--rootfs=${lab.rootfs}:O`, 'true'],
      ['setpriv', '--bounding-set', '-sys_admin', '--inh-caps', '-sys_admin', '--'],
    );
    const { code, stderr } = await outcome(child);
    assert.equal(code, 125);
    assert.match(stderr, /^Error: Cannot [^\n]*(not permitted|permission)[^\n]*\n$/i);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('a client without a reader, and one that is stopped, do not harm their container', { skip }, async () => {
  await using lab = new Lab();
  const child = spawn(
    lab.options.self[0] ?? '',
    [
      ...lab.options.self.slice(1),
      'run',
      '--name',
      'loud',
      `--rootfs=${lab.rootfs}:O`,
      'sh',
      '-c',
      'yes | head -c 3000000; exit 4',
    ],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  child.stdout.pause();
  await until(() => listContainers(lab.engine)[0]?.state === 'running', 10_000, 'it runs');
  child.kill('SIGKILL');
  assert.equal((await waitContainer(lab.engine, 'loud'))?.code, 4);
  await removeContainer(lab.engine, 'loud');
  assert.deepEqual(await lab.leftovers(), []);
  assert.equal(isAlive(child.pid ?? 0), false);
  chmodSync(lab.dir, 0o700);
  await assert.rejects(
    runContainer(lab.engine, { source: lab.source, argv: ['nope'], name: 'gone' }, { detach: true }),
  );
  assert.deepEqual(await lab.leftovers(), []);
});
