import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RuntimeConfig } from '../../spec/runtime-types.ts';
import { compileSandbox } from './compile-sandbox.ts';
import { options, v2Cgroup } from './fixture.suite.ts';

const config: RuntimeConfig = {
  ociVersion: '1.2.0',
  process: { user: { uid: 0, gid: 0 }, args: ['pause'], env: [], cwd: '/' },
  root: { path: 'root', readonly: true },
  hostname: 'web',
  mounts: [{ destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['mode=1777', 'size=1m'] }],
  linux: {
    namespaces: [{ type: 'mount' }, { type: 'pid' }, { type: 'ipc' }, { type: 'network' }, { type: 'uts' }],
    sysctl: { 'net.ipv4.ip_forward': '1' },
  },
};

test('compileSandbox: names, root, memory, no rights, and a pause instead of an execve', () => {
  const { ops } = compileSandbox(config, { ...options, cgroup: v2Cgroup });
  const steps = ops.map(({ op }) => op).slice(ops.findIndex(({ op }) => op === 'setsid'));
  assert.deepEqual(steps, [
    'setsid',
    'pdeathsig',
    'loopback',
    'hostname',
    'root',
    'mountFs',
    'pivot',
    'sysctl',
    'rootAttr',
    'noNewPrivs',
    'capsBounding',
    'user',
    'caps',
    'barrier',
    'pause',
  ]);
  assert.ok(!ops.some(({ op }) => op === 'exec'));
  assert.deepEqual(
    ops.flatMap((op) => (op.op === 'caps' ? [op.effective, op.permitted, op.inheritable, op.ambient] : [])),
    [0n, 0n, 0n, 0n],
  );
});

test('compileSandbox: a sysctl of a namespace that is not held would be the machine’s', () => {
  const namespaces = [{ type: 'mount' }, { type: 'pid' }] as const;
  assert.throws(
    () => compileSandbox({ ...config, linux: { ...config.linux, namespaces } }, options),
    /Cannot use sysctl net.ipv4.ip_forward: it would change the host/,
  );
});
