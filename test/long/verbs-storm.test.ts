/**
 * All verbs at once, some of them killed -9 in the middle, eight at a time, on a dozen containers and their image: as root, and as a user.
 * TARE_ROUNDS: a tenth of the number of commands, 100 unless set. TARE_SEED: repeats the choices of another run, not its moments.
 */
import { join } from 'node:path';
import { test } from 'node:test';
import { launcher } from '../engine/lab.ts';
import { canNetwork, NetLab } from '../engine/net-lab.ts';
import { give } from '../rootless/lab.ts';
import { canUserNet, UserGround } from '../rootless/user-ground.ts';
import { storm } from './storm.ts';

const count = Number(process.env['TARE_ROUNDS'] ?? 100) * 10;
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);

test(
  `root: ${count} commands, half of them killed: the rest tells the truth, and nothing is left`,
  canNetwork,
  async (t) => {
    await using net = new NetLab();
    const { lab } = net;
    await storm(
      t,
      {
        files: join(lab.dir, 'files'),
        startTare: (words) => net.start(...words),
        tare: (...words) => net.tare(...words),
        at: (id) => lab.at(id),
        leftovers: async () => {
          await net.clean();
          return lab.leftovers();
        },
      },
      { count, seed },
    );
  },
);

test(
  `a user: ${count} commands, half of them and now and then the holder of the namespace killed: the same`,
  { skip: canUserNet },
  async (t) => {
    await using user = new UserGround();
    const { lab } = user;
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
        // The network that is there from the first use on.
        leftovers: async () => (await lab.leftovers()).filter((path) => !path.endsWith('/networks/bridge.json')),
      },
      { count, seed },
    );
  },
);
