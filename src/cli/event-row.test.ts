import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TareEvent } from '../engine/event.ts';
import { parseJournal } from '../engine/read-journal.ts';
import { eventLine, eventRow } from './event-row.ts';

const event: TareEvent = {
  time: '2026-01-02T03:04:05.123456789Z',
  type: 'container',
  action: 'die',
  id: 'a'.repeat(64),
  name: 'web',
  image: 'alpine',
  labels: { app: 'x\u001b[2J' },
  attributes: { exitCode: '3' },
};

test("eventLine: docker's line; control characters of a label reach no terminal", () => {
  const line = eventLine(event, false);
  assert.ok(line.startsWith('2026-01-02T03:04:05.123456789Z container die aaaaaaaaaaaa (app=x'), line);
  assert.ok(line.endsWith(', exitCode=3, image=alpine, name=web)'), line);
  assert.equal(line.includes('\u001b'), false);
});

test("eventRow: docker's and podman's fields", () => {
  const row = eventRow(event, true) as Record<string, unknown>;
  assert.deepEqual(
    [
      row['Type'],
      row['Action'],
      row['Status'],
      row['ID'],
      row['Name'],
      row['Image'],
      row['ContainerExitCode'],
      row['time'],
      row['timeNano'],
    ],
    ['container', 'die', 'die', event.id, 'web', 'alpine', 3, 1767323045, Number('1767323045123456789')],
  );
  assert.deepEqual(row['Actor'], {
    ID: event.id,
    Attributes: { app: 'x\u001b[2J', exitCode: '3', image: 'alpine', name: 'web' },
  });
});

test('parseJournal: text, bytes, parts; nothing else', () => {
  const at = '1795897908377919';
  const line = (more: object): string => JSON.stringify({ __REALTIME_TIMESTAMP: at, ...more });
  const record = parseJournal(line({ MESSAGE: 'é', PRIORITY: '3' }));
  assert.deepEqual(
    [record?.stream, record?.time, record?.partial, Buffer.from(record?.text ?? []).toString()],
    [2, '2026-11-28T20:31:48.377919000Z', false, 'é'],
  );
  const bytes = parseJournal(line({ MESSAGE: [255, 10], CONTAINER_PARTIAL_MESSAGE: 'true' }));
  assert.deepEqual([bytes?.stream, bytes?.partial, [...(bytes?.text ?? [])]], [1, true, [255, 10]]);
  for (const bad of ['', 'x', '{}', JSON.stringify({ MESSAGE: 'x' })]) assert.equal(parseJournal(bad), undefined);
});
