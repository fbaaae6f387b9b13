import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TareError, isKind } from '../base/errors.ts';
import { MAX_ID, parseImageConfig, parseImageUser } from './image-config.ts';

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const diffId = `sha256:${'cd'.repeat(32)}`;
const document = (config?: object, more?: object): Uint8Array =>
  bytes({
    os: 'linux',
    architecture: 'amd64',
    rootfs: { type: 'layers', diff_ids: [diffId] },
    ...(config && { config }),
    ...more,
  });
const refused = (input: Uint8Array, message: RegExp): void =>
  assert.throws(
    () => parseImageConfig(input),
    (error) => isKind(error, 'invalid') && message.test(error.message),
  );

test('parseImageConfig() reads everything a container starts with', () => {
  const parsed = parseImageConfig(
    document(
      {
        User: '1000:staff',
        Env: ['PATH=/bin', 'X=', 'HOME', '=x', 'A=b=c', 'G*'],
        Entrypoint: ['/bin/sh', '-c'],
        Cmd: ['echo $HOME'],
        WorkingDir: '/srv',
        Volumes: { '/data': {}, '/var/lib/x': {} },
        ExposedPorts: { '80/tcp': {} },
        Labels: { a: 'b' },
        StopSignal: 'SIGRTMIN+3',
        StopTimeout: 7,
        Healthcheck: { Test: ['CMD', 'true'], Interval: 30_000_000_000, Retries: 3 },
        Shell: ['/bin/bash'],
        OnBuild: null,
      },
      { created: '2026-01-01T00:00:00Z', history: [{ created_by: 'x', empty_layer: true }, {}] },
    ),
  );
  assert.deepEqual(parsed, {
    platform: { os: 'linux', architecture: 'amd64' },
    created: '2026-01-01T00:00:00Z',
    process: {
      user: { user: 1000, group: 'staff' },
      entrypoint: ['/bin/sh', '-c'],
      cmd: ['echo $HOME'],
      shell: ['/bin/bash'],
      workingDir: '/srv',
      stopSignal: 'SIGRTMIN+3',
      stopTimeoutSeconds: 7,
      healthcheck: { test: ['CMD', 'true'], intervalNs: 30_000_000_000, retries: 3 },
      env: ['PATH=/bin', 'X=', 'A=b=c'],
      volumes: ['/data', '/var/lib/x'],
      exposedPorts: ['80/tcp'],
      labels: { a: 'b' },
      onBuild: [],
    },
    diffIds: [diffId],
    history: [{ createdBy: 'x', emptyLayer: true }, { emptyLayer: false }],
  });
});

test('parseImageConfig() takes an image without config, null lists, and one string for a list of one', () => {
  assert.deepEqual(parseImageConfig(document()).process, {
    env: [],
    volumes: [],
    exposedPorts: [],
    labels: {},
    onBuild: [],
  });
  const { process } = parseImageConfig(document({ Env: null, Cmd: 'sh', Entrypoint: null, User: '', Volumes: null }));
  assert.deepEqual([process.cmd, process.entrypoint, process.user], [['sh'], undefined, undefined]);
});

test('parseImageConfig() refuses wrong types, NUL characters and ids that are not ids', () => {
  refused(document({ Env: 'A=b' }), /config\.Env is not an array/);
  refused(document({ Env: [1] }), /config\.Env\[0\] is not a string/);
  refused(document({ Env: ['A=b\0c'] }), /NUL/);
  refused(document({ Cmd: ['a\0'] }), /NUL/);
  refused(document({ Cmd: 'a\0' }), /NUL|array/);
  refused(document({ WorkingDir: '/a\0b' }), /NUL/);
  refused(document({ Volumes: { '/a\0': {} } }), /NUL/);
  refused(document({ Volumes: ['/a'] }), /not an object/);
  refused(document({ User: '4294967296' }), /not from 0 to/);
  refused(document({ User: '0:2147483648' }), /not from 0 to/);
  refused(document({ User: '-1' }), /not from 0 to/);
  refused(document({ User: 'a:b:c' }), /USER or USER:GROUP/);
  refused(document({ StopSignal: 'rm -rf' }), /StopSignal/);
  refused(document({ StopTimeout: 1e12 }), /StopTimeout/);
  refused(document({ Healthcheck: { Test: 'x' } }), /config\.Healthcheck\.Test/);
  refused(document({ Labels: { a: 1 } }), /config\.Labels\.a/);
  refused(document(undefined, { rootfs: { type: 'layers', diff_ids: ['x'] } }), /diff_ids\[0\]/);
  refused(document(undefined, { rootfs: { type: 'windows' } }), /rootfs\.type/);
  refused(bytes({}), /rootfs is missing/);
});

test('parseImageUser() tells ids from names', () => {
  assert.deepEqual(parseImageUser('0'), { user: 0 });
  assert.deepEqual(parseImageUser(`${MAX_ID}:5`), { user: MAX_ID, group: 5 });
  assert.deepEqual(parseImageUser('007x'), { user: '007x' });
  assert.deepEqual(parseImageUser(':5'), { user: 0, group: 5 });
  assert.equal(parseImageUser(''), undefined);
});

test('parseImageConfig() with every field replaced by values of every type: a config or a TareError', () => {
  const values = [null, 0, -1, 1e300, '', 'x', '\0', [], {}, [null], { a: null }, true, ['a'], [[]]];
  const keys = [
    'User',
    'Env',
    'Cmd',
    'Entrypoint',
    'Volumes',
    'ExposedPorts',
    'Labels',
    'StopSignal',
    'StopTimeout',
    'Healthcheck',
    'Shell',
    'OnBuild',
    'WorkingDir',
  ];
  for (const key of [...keys, '__proto__', 'constructor']) {
    for (const value of values) {
      for (const place of ['config', 'top', 'rootfs', 'healthcheck'] as const) {
        const base: Record<string, unknown> = { os: 'linux', architecture: 'amd64', rootfs: { diff_ids: [diffId] } };
        if (place === 'config') base['config'] = { [key]: value };
        if (place === 'top') base[key.toLowerCase()] = value;
        if (place === 'rootfs') base['rootfs'] = { diff_ids: [diffId], type: value };
        if (place === 'healthcheck') base['config'] = { Healthcheck: { Test: value, Interval: value } };
        try {
          assert.equal(parseImageConfig(bytes(base)).diffIds.length, 1);
        } catch (error) {
          assert.ok(error instanceof TareError, String(error));
        }
      }
    }
  }
});
