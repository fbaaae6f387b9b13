import assert from 'node:assert/strict';
import test from 'node:test';
import type { ContainerSummary } from '../engine/list.ts';
import { compileFormat } from './format.ts';
import { psJson, psRow } from './ps-row.ts';

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
  assert.equal(String(row['Labels']), 'app=web');
  assert.equal(psRow(container, now, true)['ID'], container.id);
  const { startedAt: _, ...rest } = container;
  const status = (change: Partial<ContainerSummary>): unknown => psRow({ ...rest, ...change }, now, false)['Status'];
  assert.equal(
    status({ state: 'exited', exitCode: 3, finishedAt: '2026-01-02T03:04:03Z' }),
    'Exited (3) 2 seconds ago',
  );
  assert.equal(status({ state: 'created' }), 'Created');
  assert.equal(status({ state: 'initialized' }), 'Initialized');
  assert.equal(status({ state: 'removing' }), 'Removal In Progress');
});

test('psRow: control characters of a command never reach the terminal', () => {
  const row = psRow({ ...container, command: ['\x1b]0;evil\x07\u009b31m'] }, now, true);
  assert.equal(row['Command'], '"\\x1b]0;evil\\x07\\x9b31m"');
});

test('psRow: labels and names are texts with data beneath', () => {
  const render = (text: string): string => compileFormat(text).render(psRow(container, now, false));
  assert.equal(
    render(
      '{{.Names}} {{index .Names 0}} {{.Labels}} {{.Labels.app}} {{.Label "app"}}[{{.Label "x"}}]{{join .Networks "+"}}',
    ),
    'happy_fox happy_fox app=web web web[]none',
  );
  assert.equal((JSON.parse(render('{{json .}}')) as Record<string, unknown>)['Labels'], 'app=web');
  assert.throws(() => render('{{.Nmaes}}'), /did you mean Names/);
});

test('psJson: podman names, times in seconds', () => {
  const { Id, Names, Labels, Created, StartedAt, ExitedAt, State } = psJson(container, now);
  assert.deepEqual(
    [Id, Names, Labels, Created, StartedAt, ExitedAt, State],
    [
      container.id,
      ['happy_fox'],
      { app: 'web' },
      Date.parse(container.createdAt) / 1000,
      now / 1000 - 185,
      0,
      'running',
    ],
  );
});
