import assert from 'node:assert/strict';
import test from 'node:test';
import type { ContainerSummary } from '../engine/list.ts';
import { parseFilters } from './format.ts';
import { passes, psFilterKeys, psRow } from './ps-row.ts';

const now = Date.parse('2026-01-02T03:04:05Z');
const container: ContainerSummary = {
  id: '0123456789abcdef'.repeat(4),
  name: 'happy_fox',
  image: 'docker.io/library/busybox:latest',
  command: ['sh', '-c', 'echo a\nwhile a very long command'],
  createdAt: '2026-01-02T03:00:00Z',
  startedAt: '2026-01-02T03:01:00Z',
  state: 'running',
  labels: { app: 'web' },
  network: 'none',
};

test('psRow: docker columns, short or in full', () => {
  const row = psRow(container, now, false);
  assert.equal(row['ID'], '0123456789ab');
  assert.equal(row['Command'], '"sh -c echo a\\nwhile…"');
  assert.equal(row['RunningFor'], '4 minutes ago');
  assert.equal(row['Status'], 'Up 3 minutes');
  assert.equal(row['Labels'], 'app=web');
  assert.equal(psRow(container, now, true)['ID'], container.id);
  const { startedAt: _, ...rest } = container;
  const status = (change: Partial<ContainerSummary>): string | undefined =>
    psRow({ ...rest, ...change }, now, false)['Status'];
  assert.equal(
    status({ state: 'exited', exitCode: 3, finishedAt: '2026-01-02T03:04:03Z' }),
    'Exited (3) 2 seconds ago',
  );
  assert.equal(status({ state: 'created' }), 'Created');
  assert.equal(status({ state: 'removing' }), 'Removal In Progress');
});

test('psRow: control characters of a command never reach the terminal', () => {
  const row = psRow({ ...container, command: ['\x1b]0;evil\x07\u009b31m'] }, now, true);
  assert.equal(row['Command'], '"\\x1b]0;evil\\x07\\x9b31m"');
});

test('passes: each filter key', () => {
  const verdict = (...given: string[]): boolean => passes(container, parseFilters(given, psFilterKeys));
  for (const yes of [
    'id=01234',
    'name=fox',
    'name=^happy',
    'name=happy.fox$',
    'status=running',
    'label=app',
    'label=app=web',
    'ancestor=busybox',
    'ancestor=docker.io/library/busybox',
    'ancestor=busybox:latest',
  ]) {
    assert.equal(verdict(yes), true, yes);
  }
  for (const no of [
    'id=1234',
    'name=wolf',
    'status=exited',
    'label=tier',
    'label=app=db',
    'ancestor=box',
    'exited=0',
    'name=[',
  ]) {
    assert.equal(verdict(no), false, no);
  }
  assert.equal(verdict('status=exited', 'status=running'), true);
  assert.equal(verdict('label=app', 'label=tier'), false);
  assert.equal(verdict('name=fox', 'status=exited'), false);
});
