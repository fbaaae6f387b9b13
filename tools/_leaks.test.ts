import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { test } from 'node:test';
import { needs } from '../test/support/needs.ts';
import { newTraces, stragglers, takeTraces } from './_leaks.ts';

const lane = `leak-test-${process.pid}`;

test(
  'newTraces names a process with the mark, a temporary directory, a mount, a namespace and a cgroup that were left',
  { skip: needs.root() || needs.path('/sys/fs/cgroup/unified') },
  async () => {
    const before = takeTraces(lane);
    assert.ok(before['network link'].has('lo'));
    const dir = mkdtempSync('/tmp/tare-leak-');
    const cgroup = `/sys/fs/cgroup/unified/tare-test-leak-${process.pid}`;
    mkdirSync(cgroup);
    const child = spawn('unshare', ['--net', 'sleep', '1000'], {
      env: { ...process.env, TARE_LANE: lane },
      stdio: 'ignore',
    });
    try {
      await once(child, 'spawn');
      await until(() =>
        newTraces(before, takeTraces(lane)).some((line) => line === `process: ${child.pid} sleep 1000`),
      );
      const left = newTraces(before, takeTraces(lane));
      assert.ok(
        left.some((line) => line.startsWith('network namespace: net:')),
        left.join('\n'),
      );
      assert.ok(left.includes(`temporary file: ${dir}`), left.join('\n'));
      assert.ok(left.includes(`cgroup: ${cgroup}`), left.join('\n'));
      assert.ok(left.includes(`process: ${child.pid} sleep 1000`), left.join('\n'));
      assert.deepEqual(stragglers(lane), [child.pid]);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
      rmdirSync(cgroup);
      rmSync(dir, { recursive: true });
    }
    assert.deepEqual(stragglers(lane), []);
  },
);

async function until(condition: () => boolean): Promise<void> {
  for (let round = 0; round < 500 && !condition(); round++) await new Promise((resolve) => setTimeout(resolve, 10));
}
