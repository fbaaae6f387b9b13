/** Health checks that are changed: in force from the next start on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkHealth,
  cloneContainer,
  inspectContainer,
  restartContainer,
  updateContainer,
} from '../../src/engine/mod.ts';
import { isKind } from '../../src/base/errors.ts';
import { canRun, Lab } from './lab.ts';

interface Inspected {
  readonly Config: { readonly Healthcheck?: { readonly Test: readonly string[]; readonly Retries?: number } };
  readonly HostConfig: { readonly HealthcheckOnFailureAction?: string };
  readonly State: { readonly Health?: { readonly Status: string } };
}

test('updateContainer: a health check that is changed, given, and taken away', { skip: canRun }, async () => {
  await using lab = new Lab();
  const inspect = async (id: string): Promise<Inspected> => (await inspectContainer(lab.engine, id)) as Inspected;
  const { id } = await lab.detached(['sleep', '1000']);
  await assert.rejects(updateContainer(lab.engine, id, { health: { retries: 1 } }), (error) =>
    isKind(error, 'invalid'),
  );

  const test = ['CMD', 'false'];
  const warnings = await updateContainer(lab.engine, id, { health: { test, intervalMs: 0, retries: 2 } });
  assert.match(warnings.join(), /holds from its next start on/);
  assert.deepEqual((await inspect(id)).Config.Healthcheck?.Test, test);
  await assert.rejects(checkHealth(lab.engine, id), /no health check/, 'not yet');

  await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
  await checkHealth(lab.engine, id);
  assert.equal((await inspect(id)).State.Health?.Status, 'starting', 'one of two failures');
  await checkHealth(lab.engine, id);
  assert.equal((await inspect(id)).State.Health?.Status, 'unhealthy');

  // What is not said stays.
  await updateContainer(lab.engine, id, { health: { test: ['CMD', 'true'], onFailure: 'stop' } });
  const changed = await inspect(id);
  assert.deepEqual(
    [
      changed.Config.Healthcheck?.Test,
      changed.Config.Healthcheck?.Retries,
      changed.HostConfig.HealthcheckOnFailureAction,
    ],
    [['CMD', 'true'], 2, 'stop'],
  );
  await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
  await checkHealth(lab.engine, id);
  assert.equal((await inspect(id)).State.Health?.Status, 'healthy');
  const clone = await inspect((await cloneContainer(lab.engine, id)).id);
  assert.deepEqual(clone.Config.Healthcheck, changed.Config.Healthcheck);

  await updateContainer(lab.engine, id, { health: { test: ['NONE'] } });
  await restartContainer(lab.engine, id, { timeoutSeconds: 0 });
  const off = await inspect(id);
  assert.deepEqual([off.State.Health, off.HostConfig.HealthcheckOnFailureAction], [undefined, 'none']);
});
