import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TareError } from '../base/errors.ts';
import { defaultConfig } from '../runtime/default-config.ts';
import { enforceable } from './config-resources.ts';
import { inUserNamespace } from './config-user-namespace.ts';

const all = { uids: 65537, gids: 65537 };
const mountOn = (config: ReturnType<typeof inUserNamespace>, destination: string) =>
  config.mounts?.find((mount) => mount.destination === destination);

test('inUserNamespace: with ids for all and a network of its own nothing changes', () => {
  const config = defaultConfig({ argv: ['x'] });
  assert.deepEqual(inUserNamespace(config, { mapped: all }), config);
});

test('inUserNamespace: sysfs of the host’s network is bound, read-only to its depths', () => {
  const config = inUserNamespace(defaultConfig({ argv: ['x'], namespaces: { network: 'host' } }), { mapped: all });
  const sys = mountOn(config, '/sys');
  assert.deepEqual([sys?.type, sys?.source], ['bind', '/sys']);
  for (const option of ['rbind', 'rro', 'nosuid', 'noexec', 'nodev']) assert.ok(sys?.options?.includes(option), option);
});

test('inUserNamespace: sysfs of a network that another user namespace owns is bound, too', () => {
  const maps = [{ containerID: 0, hostID: 100000, size: 1000 }];
  const own = { uidMappings: maps, gidMappings: maps };
  const plain = defaultConfig({ argv: ['x'] });
  assert.equal(mountOn(inUserNamespace(plain, { own }), '/sys')?.type, 'sysfs');
  assert.equal(mountOn(inUserNamespace(plain, { own, sharesNetwork: true }), '/sys')?.type, 'bind');
  assert.equal(mountOn(inUserNamespace(plain, { sharesNetwork: true }), '/sys')?.type, 'sysfs');
});

test('inUserNamespace: a file system is not given to a group that is not there; a user who is not there is an error', () => {
  const single = { uids: 1, gids: 1 };
  const options =
    mountOn(inUserNamespace(defaultConfig({ argv: ['x'] }), { mapped: single }), '/dev/pts')?.options ?? [];
  assert.equal(
    options.some((option) => option.startsWith('gid=')),
    false,
  );
  assert.ok(options.includes('newinstance'));
  for (const input of [{ uid: 1 }, { gid: 5 }, { additionalGids: [0, 7] }]) {
    assert.throws(
      () => inUserNamespace(defaultConfig({ argv: ['x'], ...input }), { mapped: single }),
      (error: unknown) =>
        error instanceof TareError && error.kind === 'unsupported' && /tare system migrate/.test(error.message),
    );
  }
});

test('enforceable: keeps the limits of the controllers there are, and names the others once', () => {
  const resources = { memory: { limit: 1 }, cpu: { shares: 2, cpus: '0' }, pids: { limit: 3 }, devices: [] };
  const some = enforceable(resources, new Set(['memory', 'cpuset']));
  assert.deepEqual(some.resources, { memory: { limit: 1 }, cpu: { cpus: '0' }, devices: [] });
  assert.equal(some.warnings.length, 1);
  assert.match(some.warnings[0] ?? '', /^Limits of cpu, pids are not applied: /);
  assert.deepEqual(enforceable(resources, new Set(['memory', 'cpu', 'cpuset', 'pids'])), { resources, warnings: [] });
  assert.deepEqual(enforceable({ pids: { limit: -1 } }, new Set()).warnings, []);
});
