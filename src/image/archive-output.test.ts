import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempDisposableSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileOutput } from './archive-output.ts';

test('fileOutput: the file appears when it is complete, in the place of another one', async () => {
  using dir = mkdtempDisposableSync('/tmp/tare-output-');
  const path = `${dir.path}/a.tar`;
  for (const content of ['first', 'second']) {
    await using output = await fileOutput(path);
    await output.write(Buffer.from(content));
    assert.notEqual(existing(path), content);
    await output.commit();
    assert.equal(existing(path), content);
  }
  writeFileSync(`${dir.path}/like`, '', { mode: 0o644 });
  assert.equal(statSync(path).mode, statSync(`${dir.path}/like`).mode);
  assert.deepEqual(readdirSync(dir.path), ['a.tar', 'like']);
});

test('fileOutput: given up or killed in the middle, it leaves what was there and nothing else', async () => {
  using dir = mkdtempDisposableSync('/tmp/tare-output-');
  const path = `${dir.path}/a.tar`;
  writeFileSync(path, 'old');
  {
    await using output = await fileOutput(path);
    await output.write(Buffer.from('new'));
  }
  const program = `
    const { fileOutput } = await import(${JSON.stringify(new URL('archive-output.ts', import.meta.url).href)});
    const output = await fileOutput(${JSON.stringify(path)});
    await output.write(Buffer.alloc(100_000));
    process.kill(process.pid, 'SIGKILL');`;
  const { signal, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  assert.equal(signal, 'SIGKILL', stderr);
  assert.deepEqual(readdirSync(dir.path), ['a.tar']);
  assert.equal(readFileSync(path, 'utf8'), 'old');
});

test('fileOutput: a place that cannot be written to is named', async () => {
  await assert.rejects(fileOutput('/nowhere/a.tar'), {
    kind: 'not-found',
    message: 'Cannot write archive /nowhere/a.tar: its directory cannot be written to',
  });
  await assert.rejects(fileOutput('/tmp'), { kind: 'failed-precondition' });
});

function existing(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? undefined : readFileSync(path, 'utf8');
}
