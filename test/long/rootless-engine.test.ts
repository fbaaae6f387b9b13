/** Suites of test/engine once more, as an unprivileged user: in the user's namespace, without a cgroup where none is delegated. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { launcher } from '../engine/lab.ts';
import { repeatTests, type ReportedTest } from '../support/reported-test.ts';
import { canBeUser, UserLab } from '../rootless/lab.ts';

const TIMEOUT_MS = 600_000;
const suites = ['health', 'life', 'rename', 'restart', 'supervise'];
const root = join(import.meta.dirname, '../..');

test(
  'a user’s containers live, restart, are checked and renamed as root’s',
  { skip: canBeUser, timeout: TIMEOUT_MS },
  async (t) => {
    await using lab = new UserLab();
    const files = suites.map((name) => join(root, `test/engine/${name}.test.ts`));
    const argv = [launcher, 'unshare', join(root, 'tools/node'), join(root, 'test/support/run-tests.ts'), ...files];
    const { stdout, stderr } = await lab.exec(argv, { env: { TMPDIR: lab.home }, timeoutMs: TIMEOUT_MS });
    const lines = stdout.split('\n').filter(Boolean);
    await repeatTests(
      t,
      lines.map((line) => JSON.parse(line) as ReportedTest),
      stderr,
    );
    assert.deepEqual(await lab.leftovers(), []);
  },
);
