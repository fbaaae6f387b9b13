import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { hybrid, v1InDocker, v1Systemd, v2Systemd } from './_host-texts.ts';
import { detectCgroups, readCgroupHost } from './host.ts';

test('detectCgroups finds co-mounted controllers and the named hierarchy of a v1 machine', () => {
  const host = detectCgroups(v1Systemd);
  assert.equal(host.mode, 'v1');
  assert.equal(host.root, '/sys/fs/cgroup');
  const cpu = host.hierarchies.find((h) => h.dir === 'cpu,cpuacct');
  assert.deepEqual(cpu?.controllers, ['cpu', 'cpuacct']);
  assert.equal(cpu.own, '/user.slice');
  const systemd = host.hierarchies.find((h) => h.name === 'systemd');
  assert.deepEqual(systemd?.controllers, []);
  assert.equal(systemd.own, '/user.slice/user-0.slice/session-1.scope');
  assert.deepEqual(host.warnings, []);
});

test('detectCgroups takes the controllers of a v2 machine from cgroup.controllers', () => {
  const host = detectCgroups(v2Systemd);
  assert.equal(host.mode, 'v2');
  assert.equal(host.hierarchies.length, 1);
  assert.equal(host.hierarchies[0]?.dir, '');
  assert.ok(host.hierarchies[0]?.controllers.includes('memory'));
});

test('detectCgroups calls v1 beside a v2 tree hybrid', () => {
  const host = detectCgroups(hybrid);
  assert.equal(host.mode, 'hybrid');
  assert.equal(host.hierarchies.length, 10);
  assert.deepEqual(host.hierarchies.find((h) => h.version === 2)?.controllers, []);
});

test('detectCgroups reports read-only hierarchies and goes on with the others', () => {
  const host = detectCgroups(v1InDocker);
  assert.deepEqual(
    host.hierarchies.filter((h) => !h.readOnly).map((h) => h.dir),
    ['devices'],
  );
  assert.match(host.warnings.join(), /read-only.*\/sys\/fs\/cgroup\/systemd, \/sys\/fs\/cgroup\/memory/);
});

test('detectCgroups with nothing mounted is none, with a warning', () => {
  const host = detectCgroups({ mountinfo: '', selfCgroup: '' });
  assert.equal(host.mode, 'none');
  assert.equal(host.warnings.length, 1);
});

test('detectCgroups follows a v2 tree mounted elsewhere and ignores a second mount of one hierarchy', () => {
  const line = (id: number, at: string): string => `${id} 1 0:26 / ${at} rw - cgroup2 cgroup2 rw\n`;
  assert.equal(detectCgroups({ mountinfo: line(2, '/cg'), selfCgroup: '0::/' }).root, '/cg');
  const twice = detectCgroups({
    mountinfo: line(2, '/sys/fs/cgroup') + line(3, '/sys/fs/cgroup/again'),
    selfCgroup: '0::/',
  });
  assert.equal(twice.hierarchies.length, 1);
});

test('readCgroupHost finds directories that exist on this machine', () => {
  const host = readCgroupHost();
  for (const hierarchy of host.hierarchies)
    assert.ok(existsSync(`${host.root}/${hierarchy.dir}/cgroup.procs`), hierarchy.dir);
});
