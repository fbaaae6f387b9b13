import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allCapabilities } from '../spec/capabilities.ts';
import { parseRuntimeConfig } from '../spec/runtime-config.ts';
import { monitor, options } from './compile/fixture.suite.ts';
import { compile } from './compile/mod.ts';
import { defaultConfig } from './default-config.ts';

test('defaultConfig makes a config that its own parser takes unchanged and that compiles', () => {
  const config = defaultConfig({
    argv: ['sh'],
    hostname: 'web',
    terminal: true,
    uid: 1000,
    gid: 1000,
    additionalGids: [4],
    groupAdd: [4, 27],
    tmpfs: { '/run': ['size=1m'] },
    binds: [{ source: '/srv', destination: '/data', readOnly: true, options: ['noexec'] }],
    sysctls: { 'net.core.somaxconn': '1' },
    ulimits: ['nofile=5:6'],
    oomScoreAdj: 10,
  });
  assert.deepEqual(parseRuntimeConfig(JSON.parse(JSON.stringify(config))), config);
  assert.deepEqual(config.process?.user.additionalGids, [4, 27]);
  assert.ok(compile(config, { ...options, monitor: { ...monitor, stdio: 'pty' } }).ops.length > 60);
});

test('defaultConfig: namespaces are private, host or joined', () => {
  const config = defaultConfig({ argv: ['sh'], namespaces: { pid: 'host', network: { path: '/run/netns/a' } } });
  assert.deepEqual(config.linux?.namespaces, [
    { type: 'mount' },
    { type: 'ipc' },
    { type: 'uts' },
    { type: 'network', path: '/run/netns/a' },
    { type: 'cgroup' },
  ]);
});

test('defaultConfig: privileged has every capability and device, nothing masked, no filter, writable /sys', () => {
  const config = defaultConfig({ argv: ['sh'], privileged: true, capDrop: ['bpf'] });
  assert.deepEqual(
    config.process?.capabilities?.bounding,
    allCapabilities.filter((name) => name !== 'CAP_BPF'),
  );
  assert.deepEqual([config.linux?.maskedPaths, config.linux?.readonlyPaths, config.annotations], [[], [], {}]);
  assert.equal(config.linux?.resources?.devices?.[0]?.allow, true);
  assert.ok(config.mounts?.find(({ destination }) => destination === '/sys')?.options?.includes('rw'));
});

test('defaultConfig: unprivileged denies devices, masks, filters, and leaves inheritable and ambient empty', () => {
  const config = defaultConfig({ argv: ['sh'] });
  assert.deepEqual(config.linux?.resources?.devices?.[0], { allow: false, access: 'rwm' });
  assert.ok(config.linux?.maskedPaths?.includes('/proc/interrupts'));
  assert.deepEqual(config.annotations, { 'tare.seccomp': 'default' });
  assert.deepEqual([config.process?.capabilities?.inheritable, config.process?.capabilities?.ambient], [[], []]);
  assert.equal(config.process?.capabilities?.bounding?.length, 14);
});

test('defaultConfig: a mount of the user takes the place of a default one', () => {
  const config = defaultConfig({ argv: ['sh'], binds: [{ source: '/x', destination: '/dev/shm' }] });
  assert.equal(config.mounts?.filter(({ destination }) => destination === '/dev/shm').length, 1);
  assert.throws(() => defaultConfig({ argv: [] }), { kind: 'invalid' });
});
