/** kill -9 at any moment of what is done to pods: the next command repairs, and nothing is left. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listPods } from '../../src/engine/pods/list-pods.ts';
import { listContainers } from '../../src/engine/list.ts';
import { canRun, Lab, type Outcome, outcome, slowness } from '../engine/lab.ts';

/** So long is the slowest of them, in ms, on a usual machine. */
const LONGEST_MS = 220;

test('kill -9 of create, run --pod, start, stop, restart and rm of pods', { skip: canRun }, async () => {
  await using lab = new Lab();
  const box = ['--rootfs', `${lab.rootfs}:O`];
  const killed = async (ms: number, ...args: string[]): Promise<Outcome> => {
    const child = lab.startTare(args);
    const end = outcome(child);
    await Promise.race([sleep(ms), end]);
    child.kill('SIGKILL');
    return end;
  };
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await lab.tare(...args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
    return stdout.trimEnd();
  };
  const long = ['--stop-timeout', '0', ...box, 'sleep', '1000'];
  const rounds = 6;
  for (let round = 0; round < rounds; round++) {
    // From before the first line of ours to after the last.
    const ms = 20 * slowness + ((LONGEST_MS * slowness) / rounds) * (round + Math.random());
    await killed(
      ms,
      'pod',
      'create',
      '--name',
      'p',
      '-m',
      '64m',
      '--exit-policy',
      round % 2 === 0 ? 'stop' : 'continue',
    );
    if ((await lab.tare('pod', 'exists', 'p')).code !== 0) await ok('pod', 'create', '--name', 'p', '-m', '64m');
    await killed(ms, 'run', '-d', '--pod', 'p', '--name', 'a', ...long);
    if ((await lab.tare('container', 'exists', 'a')).code !== 0)
      await ok('run', '-d', '--pod', 'p', '--name', 'a', ...long);
    await ok('create', '--pod', 'p', '--name', 'b', ...long);
    for (const verb of ['start', 'stop', 'restart'] as const) {
      await killed(ms, 'pod', verb, 'p');
      // What is shown is what is so, and the same command does the rest.
      await listPods(lab.anotherEngine());
      await ok('pod', verb, 'p');
      const states = (await listPods(lab.anotherEngine()))[0]?.containers.map(({ state }) => state);
      assert.deepEqual(new Set(states), new Set([verb === 'stop' ? 'exited' : 'running']), `${verb} after ${ms} ms`);
    }
    await killed(ms, 'pod', 'rm', '-f', 'p');
    await ok('pod', 'rm', '-f', 'p');
    // It was there no more for that one, and its trash may still be.
    await ok('ps');
    assert.deepEqual(listContainers(lab.anotherEngine(), { sandboxes: true }), [], `rm after ${ms} ms`);
    assert.deepEqual(await lab.leftovers(), [], `after ${ms} ms`);
  }
});

test('many at once in one pod: starts, stops and a removal end well', { skip: canRun }, async () => {
  await using lab = new Lab();
  const box = ['--stop-timeout', '0', '--rootfs', `${lab.rootfs}:O`, 'sleep', '1000'];
  for (let round = 0; round < 3; round++) {
    assert.equal((await lab.tare('pod', 'create', '--name', 'p', '--share', '+pid')).code, 0);
    const started = await Promise.all(
      Array.from({ length: 6 }, (_, n) => lab.tare('run', '-d', '--pod', 'p', '--name', `c${n}`, ...box)),
    );
    for (const { code, stderr } of started) assert.equal(code, 0, stderr);
    const held = new Set(
      await Promise.all(
        Array.from(
          { length: 6 },
          async (_, n) => (await lab.tare('exec', `c${n}`, 'readlink', '/proc/self/ns/net')).stdout,
        ),
      ),
    );
    assert.equal(held.size, 1, 'they are in one network');
    const mixed = await Promise.all([
      lab.tare('pod', 'stop', 'p'),
      lab.tare('pod', 'start', 'p'),
      lab.tare('restart', 'c1'),
      lab.tare('run', '--rm', '--pod', 'p', ...box.slice(0, -2), 'true'),
      lab.tare('pod', 'rm', '-f', 'p'),
      lab.tare('pod', 'rm', '-f', 'p'),
    ]);
    for (const { stderr } of mixed) assert.doesNotMatch(stderr, /internal|at .*\.ts/, stderr);
    await lab.tare('pod', 'rm', '-f', 'p');
    assert.deepEqual(await listPods(lab.anotherEngine()), []);
    assert.deepEqual(await lab.leftovers(), [], `round ${round}`);
  }
});
