import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podState } from './list-pods.ts';

test('podState: as podman counts, the sandbox among the others', () => {
  assert.equal(podState([]), 'Created');
  assert.equal(podState(['created']), 'Created');
  assert.equal(podState(['running', 'running']), 'Running');
  assert.equal(podState(['running', 'restarting']), 'Running');
  assert.equal(podState(['running', 'exited']), 'Degraded');
  assert.equal(podState(['running', 'created']), 'Degraded');
  assert.equal(podState(['paused', 'paused']), 'Paused');
  assert.equal(podState(['exited', 'exited']), 'Exited');
  assert.equal(podState(['created', 'exited']), 'Stopped');
  assert.equal(podState(['created', 'dead']), 'Error');
});
