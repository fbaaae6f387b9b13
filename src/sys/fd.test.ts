import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { recvFds, setReceiveTimeout, socketpair } from './socket.ts';

test('closeAside: it is closed, soon for everybody, also twenty in a row', () => {
  const ends = Array.from({ length: 20 }, () => socketpair());
  for (const [near] of ends) {
    near.closeAside();
    assert.equal(near.number, -1);
    near.closeAside();
  }
  for (const [, far] of ends) {
    setReceiveTimeout(far, 5_000);
    assert.equal(recvFds(far, 10, 1).bytes.length, 0, 'the end of a socket whose other end nobody has');
    far.close();
  }
});

test('closeAside: other descriptors do not live longer than the process, and no child of it is left', () => {
  const [near, far] = socketpair();
  using kept = near;
  using given = far;
  const script = `
    const { openPath } = await import(${JSON.stringify(pathToFileURL(join(import.meta.dirname, 'open.ts')).href)});
    for (let i = 0; i < 50; i++) openPath('/').closeAside();
    process.stdout.write(require('fs').readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8'));`;
  const done = spawnSync(process.execPath, ['--input-type=commonjs', '-e', `(async () => {${script}})()`], {
    stdio: ['ignore', 'pipe', 'inherit', given.number],
    encoding: 'utf8',
  });
  assert.deepEqual([done.status, done.stdout], [0, '']);
  given.close();
  setReceiveTimeout(kept, 5_000);
  assert.equal(recvFds(kept, 10, 1).bytes.length, 0);
});
