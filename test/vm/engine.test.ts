/** The suites of test/engine on nothing but cgroup v2, kernel 6.1 and systemd: as root, and those of supervision as a delegated user. A long part of `npm run test:vm`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { inside, lingers } from './inside.ts';
import { machine, skip } from './the-machine.ts';

/** Of one suite, emulated. */
const TIMEOUT_MS = 1_200_000;

const suites = readdirSync(join(import.meta.dirname, '../engine'))
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => name.replace(/\.test\.ts$/, ''));

/** Whose containers live, restart, are checked, paused and limited below the user's own systemd. */
const ofUser = ['health', 'life', 'pause', 'rename', 'restart', 'stats', 'supervise', 'update'];

for (const suite of suites)
  test(`as root: ${suite}`, { skip, timeout: TIMEOUT_MS }, async (t) => {
    // Nothing makes the node on demand here.
    await machine.sh('modprobe fuse');
    await inside(t, [`engine/${suite}`], { timeoutMs: TIMEOUT_MS });
  });

/** What depends on the kernel below the engine: older ones, and drivers that other machines lack. */
test('as root: networks', { skip, timeout: TIMEOUT_MS }, async (t) => {
  await inside(
    t,
    ['attach', 'firewall', 'sub-link'].map((name) => `../src/network/${name}`),
    { timeoutMs: TIMEOUT_MS },
  );
});

test('as a delegated user: supervision', { skip, timeout: TIMEOUT_MS }, async (t) => {
  await lingers();
  await inside(
    t,
    ofUser.map((name) => `engine/${name}`),
    { user: true, timeoutMs: TIMEOUT_MS },
  );
});
