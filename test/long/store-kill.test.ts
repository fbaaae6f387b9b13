/**
 * kill -9 at random moments of what works on an image store, with podman at work on the same store.
 * TARE_ROUNDS: how many rounds of each, 100 unless set. TARE_SEED: repeats the moments of another run.
 */
import { describe, test } from 'node:test';
import { canRun } from '../engine/lab.ts';
import { canPodman } from '../image/peer.ts';
import { storm } from '../image/store-storm.ts';

const rounds = Number(process.env['TARE_ROUNDS'] ?? 100);
const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);

describe('one store with podman', { skip: canRun || canPodman, concurrency: 1 }, () => {
  for (const victim of ['pull', 'commit', 'rmi'] as const)
    test(`kill -9 during ${victim}: ${rounds} rounds`, (t) => storm(t, victim, rounds, seed));
});
