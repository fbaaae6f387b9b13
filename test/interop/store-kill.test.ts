/** kill -9 beside podman, a few rounds of each; test/long/store-kill.test.ts has hundreds. */
import { describe, test } from 'node:test';
import { canRun } from '../engine/lab.ts';
import { canPodman } from '../image/peer.ts';
import { storm } from '../image/store-storm.ts';

const seed = Number(process.env['TARE_SEED'] ?? Date.now() % 1_000_000);

describe('one store with podman', { skip: canRun || canPodman, concurrency: 1 }, () => {
  for (const victim of ['pull', 'commit', 'rmi'] as const)
    test(`kill -9 during ${victim}: 10 rounds`, (t) => storm(t, victim, 10, seed));
});
