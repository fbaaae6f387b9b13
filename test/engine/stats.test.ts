/** What containers use, sampled by one process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  containerStats,
  createContainer,
  removeContainer,
  renameContainer,
  restartContainer,
  type StatsSample,
} from '../../src/engine/mod.ts';
import { readCgroupHost } from '../../src/runtime/cgroup/mod.ts';
import { canRun, clear, hasCgroups, Lab } from './lab.ts';

const controllers = readCgroupHost().hierarchies.flatMap((hierarchy) => hierarchy.controllers);
const skip =
  canRun ||
  hasCgroups ||
  (['memory', 'pids'].every((name) => controllers.includes(name)) ? false : 'needs cgroup controllers');
const MIB = 1024 ** 2;

/** The first samples of which something is so. */
async function firstWhere(
  samples: AsyncIterable<readonly StatsSample[]>,
  is: (samples: readonly StatsSample[]) => boolean,
): Promise<readonly StatsSample[]> {
  for await (const round of samples) if (is(round)) return round;
  throw new Error('it ended before');
}

test('containerStats: CPU, memory and processes of what runs, newest first', { skip }, async () => {
  await using lab = new Lab();
  const busy = await lab.detached(['sh', '-c', 'sleep 1000 & while :; do :; done'], {
    name: 'busy',
    resources: { memoryBytes: 64 * MIB },
  });
  await lab.detached(['sleep', '1000'], { name: 'idle' });
  await createContainer(lab.engine, { source: lab.source, argv: ['true'], name: 'created' });
  const samples = containerStats(lab.engine, [], { intervalMs: 50 });
  const [idle, worker, ...more] = await firstWhere(samples, (round) => (round[1]?.cpuPercent ?? 0) > 5);
  assert.deepEqual([idle?.name, worker?.name, more.length], ['idle', 'busy', 0]);
  assert.equal(worker?.id, busy.id);
  assert.ok(worker !== undefined && worker.cpuPercent < 300 && worker.cpuUsec > 0);
  assert.deepEqual([worker?.memoryLimitBytes, worker?.pids], [64 * MIB, 2]);
  assert.ok((worker?.memoryBytes ?? 0) > 0 && (worker?.memoryBytes ?? 0) < 64 * MIB);
  assert.ok((idle?.memoryLimitBytes ?? 0) > 64 * MIB, 'without a limit: what the machine has');
  assert.deepEqual([idle?.netReceivedBytes, idle?.netSentBytes], [0, 0], 'a loopback is no network');
});

test('containerStats: what begins, ends, is renamed or restarted meanwhile', { skip }, async () => {
  await using lab = new Lab();
  const abort = new AbortController();
  const all = containerStats(lab.engine, [], { intervalMs: 20, signal: abort.signal });
  const { id } = await lab.detached(['sleep', '1000'], { name: 'late' });
  await firstWhere(all, (round) => round[0]?.name === 'late');
  abort.abort();
  assert.equal((await all.next()).done, true);

  const named = containerStats(lab.engine, ['late'], { intervalMs: 20 });
  const next = named.next();
  await renameContainer(lab.engine, 'late', 'other');
  const renamed = (await next).value as readonly StatsSample[];
  assert.deepEqual([renamed[0]?.name, renamed[0]?.up], ['other', true]);
  await restartContainer(lab.engine, 'other', { timeoutSeconds: 0 });
  const again = (await named.next()).value as readonly StatsSample[];
  assert.ok(again[0]?.up === true && again[0].cpuPercent >= 0);
  await removeContainer(lab.engine, id, { force: true });
  // Named ones that are gone end it.
  let rounds = 0;
  for await (const round of named) rounds += round.length;
  assert.ok(rounds <= 1);
  await assert.rejects(containerStats(lab.engine, ['nobody']).next(), clear('not-found', /no such container/));
});

test('tare stats: a table, templates, JSON; with -a also what does not run', { skip }, async () => {
  await using lab = new Lab();
  await lab.detached(['sleep', '1000'], { name: 'up' });
  await createContainer(lab.engine, { source: lab.source, argv: ['true'], name: 'created' });
  const once = ['stats', '--no-stream', '-i', '0.1'];
  const table = await lab.tare(...once);
  assert.match(
    table.stdout,
    /^CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS\n[0-9a-f]{12} +up +\d+\.\d\d% +[\d.]+[KM]iB \/ [\d.]+GiB +\d+\.\d\d% +0B \/ 0B +[\d.]+k?M?B \/ [\d.]+k?M?B +1\n$/,
  );
  assert.equal((await lab.tare(...once, '-a', '--format', '{{.Name}} {{.PIDs}}')).stdout, 'created --\nup 1\n');
  const [line = ''] = (await lab.tare(...once, '--format', 'json', 'up')).stdout.split('\n');
  assert.equal((JSON.parse(line) as { Name: string }).Name, 'up');
  assert.equal((await lab.tare('stats', '-i', '0')).code, 125);
  assert.equal((await lab.tare('stats', '-a', 'up')).code, 125);
});
