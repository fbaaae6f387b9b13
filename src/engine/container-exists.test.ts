import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createStateDir } from '../runtime/state.ts';
import { containerExists } from './container-exists.ts';
import { createEngine, ensureLayout } from './engine.ts';

test('containerExists: a creation that was killed is none, and is collected; one that is going on is left alone', async (t) => {
  const dir = mkdtempSync('/tmp/tare-exists-');
  t.after(() => rmSync(dir, { recursive: true }));
  const engine = createEngine({
    root: join(dir, 'root'),
    runRoot: join(dir, 'run'),
    storageRoot: join(dir, 'storage'),
    storageRunRoot: join(dir, 'storage-run'),

    self: ['/bin/true'],
  });
  ensureLayout(engine);
  const [killed, living] = ['a', 'b'].map((digit) => digit.repeat(64)) as [string, string];
  createStateDir(join(engine.containersDir, killed)).close();
  using _life = createStateDir(join(engine.containersDir, living));
  assert.equal(await containerExists(engine, killed.slice(0, 12)), false);
  assert.equal(existsSync(join(engine.containersDir, killed)), false);
  assert.equal(await containerExists(engine, living), true);
  assert.equal(await containerExists(engine, 'nobody'), false);
});
