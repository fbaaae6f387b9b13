import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Host } from './context.ts';
import { engineOptions, globalFlags } from './globals.ts';
import { parseFlags } from './parse-flags.ts';
import { UsageError } from './usage-error.ts';

const host = (env: Host['env'] = {}): Host => ({
  env: { TARE_ROOTLESS: undefined, ...env },
  cwd: '/',
  launcher: '/bin/tare',
  packageDir: '/',
  now: () => 0,
});
const options = (argv: readonly string[], env?: Host['env']): ReturnType<typeof engineOptions> =>
  engineOptions(parseFlags(globalFlags, argv, { interspersed: false }).flags, host(env));

const skip = process.getuid?.() === 0 ? false : 'needs root, or the namespace of a user';

test(
  'engineOptions: the cgroup manager of the flag, else of the environment, and the monitor’s cleanup gets it, too',
  { skip },
  () => {
    const plain = options(['ps']);
    assert.equal(plain.cgroupManager, undefined);
    assert.ok(!plain.self.some((word) => word.startsWith('--cgroup')));
    const env = { TARE_CGROUP_MANAGER: 'systemd' };
    const chosen = options(['--cgroup-parent=ci.slice', 'ps'], env);
    assert.equal(chosen.cgroupManager, 'systemd');
    assert.deepEqual(chosen.self.slice(-2), ['--cgroup-manager=systemd', '--cgroup-parent=ci.slice']);
    assert.equal(options(['--cgroup-manager=cgroupfs', 'ps'], env).cgroupManager, 'cgroupfs');
    assert.throws(() => options(['ps'], { TARE_CGROUP_MANAGER: 'docker' }), UsageError);
  },
);
