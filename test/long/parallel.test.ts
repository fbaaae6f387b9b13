/** 16 containers at a time, over and over, through the command line and the library. Rounds: a fifth of TARE_ROUNDS, so 20 unless set. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { text } from 'node:stream/consumers';
import { open } from '../../src/mod.ts';
import {
  execContainer,
  listContainers,
  removeContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from '../../src/engine/mod.ts';
import { canRun, Lab } from '../engine/lab.ts';

const rounds = Math.max(1, Math.ceil(Number(process.env['TARE_ROUNDS'] ?? 100) / 5));
const AT_A_TIME = 16;
const many = <T>(make: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: AT_A_TIME }, (_, i) => make(i)));

test(`tare run: ${AT_A_TIME} at a time, ${rounds} rounds`, { skip: canRun }, async () => {
  await using lab = new Lab();
  for (let round = 0; round < rounds; round++) {
    const results = await many((i) =>
      lab.tare('run', '--rm', `--rootfs=${lab.rootfs}:O`, 'sh', '-c', `echo ${round} ${i}; echo bad >&2; exit ${i}`),
    );
    for (const [i, { code, stdout, stderr }] of results.entries())
      assert.deepEqual([code, stdout, stderr], [i, `${round} ${i}\n`, 'bad\n']);
    assert.deepEqual(await lab.leftovers(), [], `round ${round}`);
  }
});

test(`Tare.run: ${AT_A_TIME} at a time, ${rounds} rounds, no descriptor lost`, { skip: canRun }, async () => {
  await using lab = new Lab();
  const { root, runRoot, storageRoot, storageRunRoot } = lab.engine;
  const { cgroupParent } = lab;
  await using tare = await open({ root, runRoot, storageRoot, storageRunRoot, cgroupParent });
  await (await tare.run(lab.source, ['true'])).wait();
  const descriptors = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < rounds; round++) {
    const results = await many(async (i) => {
      await using box = await tare.run(lab.source, ['sh', '-c', `cat; exit ${i}`], { openStdin: true });
      box.stdin.end(`${round} ${i}`);
      const output = await text(box.stdout);
      return [(await box.wait()).code, output];
    });
    for (const [i, result] of results.entries()) assert.deepEqual(result, [i, `${round} ${i}`]);
    assert.deepEqual(await lab.leftovers(), [], `round ${round}`);
  }
  assert.equal(readdirSync('/proc/self/fd').length, descriptors);
});

test(
  `create, start, exec, stop, wait, rm: ${AT_A_TIME} lives at a time, ${rounds} rounds, some through the command line`,
  { skip: canRun },
  async () => {
    await using lab = new Lab();
    for (let round = 0; round < rounds; round++) {
      await many(async (i) => {
        const name = `life-${round}-${i}`;
        // The kernel drops a signal to the first process that has no handler yet.
        const trap = 'trap "exit 7" TERM; : > /ready; while :; do sleep 0.01; done';
        const { id } = await lab.detached(['sh', '-c', trap], { name });
        const wait = `while [ ! -e /ready ]; do sleep 0.01; done; exit ${i}`;
        const session = await execContainer(lab.engine, name, { argv: ['sh', '-c', wait] }, 'pipe');
        assert.equal((await session.exit).code, i);
        session.close();
        if (i % 4 === 0) assert.equal((await lab.tare('stop', '-t', '5', name)).code, 0);
        else await stopContainer(lab.engine, name, { timeoutSeconds: 5 });
        const code = (await waitContainer(lab.engine, id))?.code;
        assert.equal(code, 7, name);
        await startContainer(lab.engine, name, { attach: false, stdin: false });
        await removeContainer(lab.engine, name, { force: true });
      });
      assert.deepEqual(listContainers(lab.engine), []);
      assert.deepEqual(await lab.leftovers(), [], `round ${round}`);
    }
  },
);
