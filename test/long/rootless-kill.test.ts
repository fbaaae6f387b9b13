import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { launcher, until } from '../engine/lab.ts';
import { canBeUser, kill, UserLab } from '../rootless/lab.ts';

/** How many rounds; each starts six commands and kills what it finds. */
const ROUNDS = Number(process.env['TARE_ROUNDS'] ?? 100);

test(
  'kill -9 at random among all processes of a user: holder, launchers, monitors, newuidmap, containers',
  { skip: canBeUser },
  async (t) => {
    await using lab = new UserLab();
    let seed = 1;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % below;
    };
    const commands = (round: number): readonly (readonly string[])[] => [
      ['run', '--rm', lab.source, 'true'],
      ['run', '-d', '--name', `n${round}`, lab.source, 'sleep', '1000'],
      ['run', '-d', '--rm', lab.source, 'sleep', '1000'],
      ['ps', '-a'],
      ['exec', `n${round - 1}`, 'true'],
      ['rm', '-f', `n${round - 2}`],
    ];
    let kills = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const children = commands(round).map((argv) => lab.spawn([launcher, ...argv]));
      const done = Promise.all(children.map((child) => new Promise((resolve) => child.once('close', resolve))));
      for (let shot = 0; shot < 3; shot++) {
        await sleep(random(120));
        const victims = lab.processes();
        const victim = victims[random(Math.max(victims.length, 1))];
        if (victim === undefined) continue;
        kill(victim.pid);
        kills++;
      }
      await done;
    }
    t.diagnostic(`${ROUNDS} rounds, ${kills} kills`);
    // The truth: what is said to run runs, in one namespace, and can be entered.
    await lab.ok('ps', '-a');
    assert.equal(lab.holders().length, 1);
    const running = (await lab.ok('ps', '-q')).split('\n').filter((id) => id !== '');
    for (const id of running) assert.equal(await lab.ok('exec', id, 'echo', 'here'), 'here');
    const sleeping = () => lab.processes().filter(({ command }) => command === 'sleep 1000').length;
    await until(
      () => sleeping() === running.length,
      20_000,
      `as many containers live as are listed, ${sleeping()} of ${running.length}`,
    );
    for (const id of (await lab.ok('ps', '-aq')).split('\n').filter((name) => name !== ''))
      await lab.ok('rm', '-f', id);
    assert.equal(await lab.ok('run', '--rm', lab.source, 'echo', 'works'), 'works');
    await until(() => lab.processes().length === 1, 20_000, 'only the holder is left');
    // A name that a killed creation had taken is free for the next who wants it, and gone with the next list.
    await lab.ok('ps', '-a');
    for (const dir of ['containers', 'names', 'scratch', 'trash'])
      assert.deepEqual(
        readdirSync(lab.at('tare', dir)).filter((name) => name !== '.creating'),
        [],
        dir,
      );
  },
);
