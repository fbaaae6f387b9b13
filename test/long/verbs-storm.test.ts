/**
 * All verbs at once, some of them killed -9 in the middle, eight at a time, on a dozen containers and their image: as root, and as a user.
 * TARE_ROUNDS: a tenth of the number of commands, 100 unless set. TARE_SEED: repeats the choices of another run, not its moments.
 */
import { join } from 'node:path';
import { test } from 'node:test';
import { canRun, Lab, launcher } from '../engine/lab.ts';
import { canBeUser, give, UserLab } from '../rootless/lab.ts';
import { storm } from './storm.ts';

const count = Number(process.env['TARE_ROUNDS'] ?? 100) * 10;
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);

test(
  `root: ${count} commands, half of them killed: the rest tells the truth, and nothing is left`,
  { skip: canRun },
  async (t) => {
    await using lab = new Lab();
    await storm(
      t,
      {
        files: join(lab.dir, 'files'),
        startTare: (words) => lab.startTare(words),
        tare: (...words) => lab.tare(...words),
        at: (id) => lab.at(id),
        leftovers: () => lab.leftovers(),
      },
      { count, seed },
    );
  },
);

test(
  `a user: ${count} commands, half of them and now and then the holder of the namespace killed: the same`,
  { skip: canBeUser },
  async (t) => {
    await using lab = new UserLab();
    const files = join(lab.home, 'files');
    await storm(
      t,
      {
        files,
        share: () => give(lab, files),
        startTare: (words) => lab.spawn([launcher, ...words]),
        tare: (...words) => lab.tare(...words),
        at: (id) => lab.at('tare/containers', id),
        accident: () => lab.killHolders(),
        leftovers: () => lab.leftovers(),
      },
      { count, seed },
    );
  },
);
