import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { emit, EVENTS_MAX_BYTES, EVENT_MAX_BYTES } from './emit.ts';
import { createEngine, type Engine } from './engine.ts';
import type { NewEvent, TareEvent } from './event.ts';
import { eventPasses } from './event-filter.ts';
import { readEvents, type EventOptions } from './read-events.ts';

class Place implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'tare-events-'));
  readonly engine: Engine = createEngine({
    root: join(this.dir, 'root'),
    runRoot: join(this.dir, 'run'),
    storageRoot: join(this.dir, 'storage'),
    storageRunRoot: join(this.dir, 'storage-run'),
    self: [],
  });

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

const started = (id: string, more: Partial<NewEvent> = {}): NewEvent =>
  ({ type: 'container', action: 'start', id, name: `name-${id}`, ...more }) as NewEvent;

async function known(engine: Engine, options: EventOptions = {}): Promise<TareEvent[]> {
  const events: TareEvent[] = [];
  for await (const event of readEvents(engine, { follow: false, ...options })) events.push(event);
  return events;
}

test('emit: a line in a directory it makes; readEvents gives it back', async () => {
  using place = new Place();
  emit(place.engine, started('a', { labels: { l: 'x' }, image: 'i', attributes: { k: 'v' } }));
  const [event] = await known(place.engine);
  assert.ok(event !== undefined && Math.abs(Date.parse(event.time) - Date.now()) < 60_000);
  const { time: _, ...rest } = event;
  assert.deepEqual(rest, {
    type: 'container',
    action: 'start',
    id: 'a',
    name: 'name-a',
    image: 'i',
    labels: { l: 'x' },
    attributes: { k: 'v' },
  });
});

test('emit: what is too long for one write loses its labels; nothing it cannot write is an error', async () => {
  using place = new Place();
  emit(place.engine, started('a', { labels: { l: 'x'.repeat(EVENT_MAX_BYTES) }, attributes: { k: 'v' } }));
  emit(place.engine, started('b', { attributes: { k: 'x'.repeat(EVENT_MAX_BYTES) } }));
  emit(place.engine, started('c', { name: 'é'.repeat(EVENT_MAX_BYTES) }));
  const events = await known(place.engine);
  assert.deepEqual(
    events.map(({ id, labels, attributes }) => [id, labels, attributes]),
    [
      ['a', {}, { k: 'v' }],
      ['b', {}, {}],
      ['c', {}, {}],
    ],
  );
  emit(createEngine({ ...place.engine, runRoot: '/dev/null/nowhere' }), started('d'));
});

test(
  'emit: eight processes write at once over a rotation; a listener hears each line once, whole, in its order',
  { timeout: 120_000 },
  async () => {
    using place = new Place();
    // Less than two files in all: nothing that the slowest listener could miss.
    const each = 200;
    const script = `
    import { emit } from ${JSON.stringify(join(import.meta.dirname, 'emit.ts'))};
    const engine = { eventsDir: ${JSON.stringify(place.engine.eventsDir)} };
    const labels = { fill: 'x'.repeat(700) };
    for (let n = 0; n < ${each}; n++) emit(engine, { type: 'container', action: 'start', id: process.argv[1] + '-' + n, name: 'n', labels });
  `;
    const writers = Array.from({ length: 8 }, (_, at) =>
      spawn(
        process.execPath,
        ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script, String(at)],
        { stdio: 'inherit' },
      ),
    );
    const stop = new AbortController();
    const heard: string[] = [];
    const listening = (async () => {
      for await (const { id } of readEvents(place.engine, { signal: stop.signal, since: '1970-01-01T00:00:00Z' })) {
        heard.push(id);
        if (heard.length === 8 * each) stop.abort();
      }
    })();
    for (const [code] of await Promise.all(writers.map((writer) => once(writer, 'exit')))) assert.equal(code, 0);
    await listening;
    for (let at = 0; at < 8; at++) {
      assert.deepEqual(
        heard.filter((id) => id.startsWith(`${at}-`)),
        Array.from({ length: each }, (_, n) => `${at}-${n}`),
      );
    }
    assert.ok(readdirSync(place.engine.eventsDir).includes('log.1'));
  },
);

test('emit: the spool stays bounded', async () => {
  using place = new Place();
  const labels = { fill: 'x'.repeat(1500) };
  for (let n = 0; n < 6000; n++) emit(place.engine, started(String(n), { labels }));
  const sizes = readdirSync(place.engine.eventsDir).map((name) => statSync(join(place.engine.eventsDir, name)).size);
  // One of sixteen looks: a thousand that do not, in a row, are not to be expected.
  assert.ok(Math.max(...sizes) <= EVENTS_MAX_BYTES + 1000 * 1700, String(sizes));
  const events = await known(place.engine);
  assert.deepEqual(
    events.map(({ id }) => Number(id)),
    Array.from({ length: events.length }, (_, n) => 6000 - events.length + n),
  );
});

test('readEvents: a line cut by a crash and foreign bytes are skipped', async () => {
  using place = new Place();
  emit(place.engine, started('a'));
  const log = join(place.engine.eventsDir, 'log');
  appendFileSync(log, '{"time":"2026-01-01T00:00:00Z","type":"contai\n');
  appendFileSync(
    log,
    'null\n[]\n"x"\n{"time":"never","type":"container","action":"x","id":"a","name":"b"}\n\xff\xfe\n',
  );
  appendFileSync(log, 'x'.repeat(100_000));
  appendFileSync(log, '\n');
  emit(place.engine, started('b'));
  appendFileSync(log, '{"unfinished');
  assert.deepEqual(
    (await known(place.engine)).map(({ id }) => id),
    ['a', 'b'],
  );
});

test('readEvents: follows from now on, until it is aborted; a later monitor event has the new name', async () => {
  using place = new Place();
  emit(place.engine, started('old'));
  const stop = new AbortController();
  const heard: string[] = [];
  const told = readEvents(place.engine, { signal: stop.signal });
  const next = told.next();
  emit(place.engine, started('a'));
  emit(place.engine, { type: 'container', action: 'rename', id: 'a', name: 'new', attributes: { oldName: 'name-a' } });
  emit(place.engine, started('a'));
  heard.push((await next).value?.name ?? '');
  heard.push((await told.next()).value?.name ?? '', (await told.next()).value?.name ?? '');
  assert.deepEqual(heard, ['name-a', 'new', 'new']);
  const waiting = told.next();
  stop.abort();
  assert.deepEqual(await waiting, { done: true, value: undefined });
});

test('readEvents: since and until, and an until that is to come ends it', async () => {
  using place = new Place();
  const times = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00.5Z', '2026-01-03T00:00:00.123456789Z'];
  emit(place.engine, started('x'));
  for (const time of times)
    appendFileSync(
      join(place.engine.eventsDir, 'log'),
      `${JSON.stringify({ time, type: 'image', action: 'pull', id: time, name: 'n' })}\n`,
    );
  const between = { since: '2026-01-02T00:00:00Z', until: '2026-01-03T00:00:01Z' };
  assert.deepEqual(
    (await known(place.engine, between)).map(({ id }) => id),
    times.slice(1),
  );
  assert.deepEqual(
    (await known(place.engine, { ...between, follow: true })).map(({ id }) => id),
    times.slice(1),
  );
  const soon = new Date(Date.now() + 50).toISOString();
  assert.deepEqual(await known(place.engine, { follow: true, until: soon }), []);
});

test('eventPasses: docker and podman words, ids, labels', () => {
  const event: TareEvent = {
    time: '2026-01-01T00:00:00Z',
    type: 'container',
    action: 'die',
    id: 'abcdef',
    name: 'web',
    image: 'docker.io/library/alpine:3',
    labels: { app: 'x', tier: 'y' },
    attributes: {},
  };
  const passes = (filters: Record<string, string[]>, what = event): boolean =>
    eventPasses(what, new Map(Object.entries(filters)));
  for (const fits of [
    {},
    { event: ['died'] },
    { event: ['start', 'die'] },
    { container: ['abc'] },
    { container: ['web'] },
    { image: ['alpine'] },
    { image: ['docker.io/library/alpine:3'] },
    { label: ['app', 'tier=y'] },
    { type: ['container'] },
  ])
    assert.equal(passes(fits), true, JSON.stringify(fits));
  for (const misses of [
    { event: ['destroy'] },
    { container: ['bcd'] },
    { container: [''] },
    { image: ['pine'] },
    { label: ['app', 'tier=z'] },
    { type: ['image'] },
    { volume: ['web'] },
  ])
    assert.equal(passes(misses), false, JSON.stringify(misses));
  assert.equal(passes({ event: ['remove'] }, { ...event, action: 'destroy' }), true);
  assert.equal(passes({ image: ['abcdef'] }, { ...event, type: 'image', id: 'sha256:abcdef' }), true);
});
