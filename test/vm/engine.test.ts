/** The suites of test/engine on nothing but cgroup v2, kernel 6.1 and systemd: as root, and those of supervision as a delegated user. A long part of `npm run test:vm`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { inside, lingers } from './inside.ts';
import { skip } from './the-machine.ts';

const TIMEOUT_MS = 3_000_000;

const suites = readdirSync(join(import.meta.dirname, '../engine'))
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `engine/${name.replace(/\.test\.ts$/, '')}`);

/** Whose containers live, restart, are checked, paused and limited below the user's own systemd. */
const ofUser = ['health', 'life', 'pause', 'rename', 'restart', 'stats', 'supervise', 'update'];

test('as root: every suite of test/engine', { skip, timeout: TIMEOUT_MS }, async (t) => {
  await inside(t, suites, { timeoutMs: TIMEOUT_MS });
});

test('as a delegated user: supervision', { skip, timeout: TIMEOUT_MS }, async (t) => {
  await lingers();
  await inside(
    t,
    ofUser.map((name) => `engine/${name}`),
    { user: true, timeoutMs: TIMEOUT_MS },
  );
});
