/** What is told of changes of a container. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  pauseContainer,
  readEvents,
  renameContainer,
  restartContainer,
  stopContainer,
  unpauseContainer,
  updateContainer,
} from '../../src/engine/mod.ts';
import { canRun, Lab } from './lab.ts';

test(
  'pause, unpause, rename, update, restart are events, once each, with the name of then',
  { skip: canRun },
  async () => {
    await using lab = new Lab();
    const since = new Date().toISOString();
    const { id } = await lab.detached(['sleep', '1000'], { name: 'first' });
    await pauseContainer(lab.engine, id);
    await assert.rejects(pauseContainer(lab.engine, id));
    await unpauseContainer(lab.engine, id);
    await renameContainer(lab.engine, id, 'second');
    await updateContainer(lab.engine, id, { resources: { pidsLimit: 99 } });
    await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
    await pauseContainer(lab.engine, id);
    await stopContainer(lab.engine, id, { timeoutSeconds: 0 });
    const told: string[] = [];
    for await (const { action, name, attributes } of readEvents(lab.engine, { since, follow: false }))
      if (['pause', 'unpause', 'rename', 'update', 'restart'].includes(action))
        told.push(`${action} ${name} ${attributes['oldName'] ?? ''}`.trimEnd());
    assert.deepEqual(told, [
      'pause first',
      'unpause first',
      'rename second first',
      'update second',
      'restart second',
      'pause second',
    ]);
  },
);
