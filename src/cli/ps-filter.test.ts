import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { createEngine } from '../engine/engine.ts';
import type { ContainerSummary } from '../engine/list.ts';
import { compilePsFilter } from './ps-filter.ts';

const container: ContainerSummary = {
  id: '0123456789abcdef'.repeat(4),
  name: 'happy_fox',
  image: 'docker.io/library/busybox:latest',
  command: ['sh'],
  createdAt: '2026-01-02T03:00:00.000Z',
  startedAt: '2026-01-02T03:01:00Z',
  state: 'running',
  labels: { app: 'web' },
  network: 'none',
};

/** An engine that has nothing. */
function emptyContext(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), 'tare-filter-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const at = (name: string): string => join(dir, name);
  const places = { root: at('r'), runRoot: at('u'), storageRoot: at('s'), storageRunRoot: at('v') };
  return { engine: createEngine({ ...places, self: [] }), now: () => Date.parse('2026-01-02T04:00:00Z') };
}

test('compilePsFilter: each key that needs nothing but the container', async (t) => {
  const context = emptyContext(t);
  const verdict = async (...given: string[]): Promise<boolean> =>
    (await compilePsFilter(context, given)).passes(container);
  const yes = [
    ...['id=01234', 'name=fox', 'name=^happy', 'name=happy.fox$', 'name=/happy', 'status=running', 'label=app'],
    ...['label=app=web', 'label!=tier', 'label!=app=db', 'ancestor=busybox', 'ancestor=docker.io/library/busybox'],
    ...['ancestor=busybox:latest', 'network=none', 'health=none', 'until=30m', 'until=2026-01-02T03:00:01Z'],
  ];
  for (const filter of yes) assert.equal(await verdict(filter), true, filter);
  const no = [
    ...['id=1234', 'name=wolf', 'name=[', 'status=exited', 'label=tier', 'label=app=db', 'label!=app', 'ancestor=box'],
    ...['exited=0', 'network=host', 'health=healthy', 'until=2h', 'pod=x', 'volume=/x'],
  ];
  for (const filter of no) assert.equal(await verdict(filter), false, filter);
  assert.equal(await verdict('status=exited', 'status=running'), true);
  assert.equal(await verdict('label=app', 'label=tier'), false);
  assert.equal(await verdict('name=fox', 'status=exited'), false);
  assert.equal((await compilePsFilter(context, ['status=exited'])).wantsAll, true);
  assert.equal((await compilePsFilter(context, ['name=x'])).wantsAll, false);
});

test('compilePsFilter: values are checked', async (t) => {
  const context = emptyContext(t);
  for (const [filter, message] of Object.entries({
    'status=runnning': /expected created, initialized, running/,
    'health=good': /expected none, starting/,
    'exited=x': /expected a whole number/,
    'until=yesterday': /expected a time/,
    'before=nobody': /--filter before=nobody: .*no such container/,
    'since=nobody': /no such container/,
    'nam=x': /did you mean name=/,
  }))
    await assert.rejects(compilePsFilter(context, [filter]), (error: Error) => {
      assert.equal(error.name, 'UsageError');
      assert.match(error.message, message);
      return true;
    });
});
