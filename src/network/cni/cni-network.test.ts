import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TareError } from '../../base/errors.ts';
import { mutations } from '../../../test/support/mutate.ts';
import { parseCniNetwork } from './cni-network.ts';
import { findCniNetwork, readCniConfDir } from './conf-dir.ts';
import { pluginConfig } from './plugin-config.ts';

const list = {
  cniVersion: '0.4.0',
  cniVersions: ['1.0.0', '1.1.0', '9.0.0'],
  name: 'web',
  disableCheck: true,
  plugins: [
    { type: 'bridge', bridge: 'cni0', ipam: { type: 'host-local' }, capabilities: { ips: true, mac: false } },
    { type: 'portmap', capabilities: { portMappings: true }, runtimeConfig: { portMappings: 'left by somebody' } },
  ],
};
const text = JSON.stringify(list);

test('parseCniNetwork: lists, and single plugins as lists of one', () => {
  const network = parseCniNetwork(text, '/etc/cni/net.d/10-web.conflist');
  assert.deepEqual(network.versions, ['1.1.0', '1.0.0', '0.4.0']);
  assert.deepEqual(
    network.plugins.map(({ type, capabilities }) => [type, capabilities]),
    [
      ['bridge', ['ips']],
      ['portmap', ['portMappings']],
    ],
  );
  assert.deepEqual([network.disableCheck, network.disableGc, network.text], [true, false, text]);
  const single = parseCniNetwork('{"name":"lo","type":"loopback"}', 'lo.conf');
  assert.deepEqual([single.versions, single.plugins.map(({ type }) => type)], [['0.1.0'], ['loopback']]);
  assert.equal(parseCniNetwork('{"name":"x","disableCheck":"true","plugins":[{"type":"a"}]}', 'x').disableCheck, true);
});

test('pluginConfig: name and version of the network, of the runtime what the plugin can take, what came before', () => {
  const network = parseCniNetwork(text, 'web');
  const [bridge, portmap] = network.plugins;
  assert.ok(bridge !== undefined && portmap !== undefined);
  const capabilityArgs = { ips: ['10.0.0.2'], mac: '02:00:00:00:00:01', portMappings: [] };
  assert.deepEqual(pluginConfig(network, bridge, '1.0.0', { capabilityArgs, prevResult: { ips: [] } }), {
    type: 'bridge',
    bridge: 'cni0',
    ipam: { type: 'host-local' },
    name: 'web',
    cniVersion: '1.0.0',
    runtimeConfig: { ips: ['10.0.0.2'] },
    prevResult: { ips: [] },
  });
  assert.deepEqual(pluginConfig(network, portmap, '1.0.0'), { type: 'portmap', name: 'web', cniVersion: '1.0.0' });
});

test('parseCniNetwork: what is wrong is named with its file and place', () => {
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
  for (const [conf, kind, message] of [
    ['', 'invalid', /^Cannot use CNI configuration \/x: not JSON \(/],
    ['[]', 'invalid', /^Cannot use CNI configuration \/x: expected an object$/],
    ['{"name":"../x","plugins":[]}', 'invalid', /\/x: name: expected a name of letters/],
    ['{"name":"x"}', 'invalid', /\/x: plugins: expected at least one plugin$/],
    ['{"name":"x","plugins":{}}', 'invalid', /\/x: plugins: expected a list of at most 64$/],
    ['{"name":"x","plugins":[{"type":"a"},{"type":"/bin/sh"}]}', 'invalid', /\/x: plugins\[1\]\.type: expected a name/],
    ['{"name":"x","type":"../../bin/sh"}', 'invalid', /\/x: type: expected a name/],
    ['{"name":"x","type":"a","capabilities":{"ips":1}}', 'invalid', /capabilities\.ips: expected true or false/],
    ['{"name":"x","type":"a","cniVersion":"one"}', 'invalid', /cniVersion: expected a version/],
    ['{"name":"x","type":"a","cniVersion":"2.0.0"}', 'unsupported', /cniVersion 2\.0\.0: 0\.1\.0, .* are supported$/],
    [`{"name":"x","type":"a","y":${deep}}`, 'invalid', /expected no more than 64 levels$/],
  ] as const)
    assert.throws(() => parseCniNetwork(conf, '/x'), { kind, message }, conf.slice(0, 60));
});

test('parseCniNetwork, mutated: read or refused, never anything else; what was read can be said to a plugin', () => {
  let read = 0;
  for (const damaged of mutations(text, 5000)) {
    try {
      const network = parseCniNetwork(damaged, '/x');
      for (const plugin of network.plugins) JSON.stringify(pluginConfig(network, plugin, '1.0.0'));
      read++;
    } catch (error) {
      assert.ok(error instanceof TareError && /^Cannot use CNI configuration \/x: /.test(error.message), String(error));
    }
  }
  assert.ok(read > 0);
});

test('readCniConfDir: in the order of file names; one that cannot be used hides no other, and keeps nobody waiting', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tare-cni-'));
  try {
    assert.deepEqual(readCniConfDir(join(dir, 'nothing')), { networks: [], problems: [] });
    writeFileSync(join(dir, '20-b.conf'), '{"name":"b","type":"ptp"}');
    writeFileSync(join(dir, '10-a.conflist'), '{"name":"a","plugins":[{"type":"bridge"}]}');
    writeFileSync(join(dir, '30-again.json'), '{"name":"a","type":"macvlan"}');
    writeFileSync(join(dir, '40-bad.conflist'), '{"name":');
    writeFileSync(join(dir, '50-large.conf'), Buffer.alloc(2 * 1024 * 1024, ' '));
    writeFileSync(join(dir, 'README'), 'not ours');
    execFileSync('mkfifo', [join(dir, '60-pipe.conf')]);
    mkdirSync(join(dir, '70-dir.conf'));
    symlinkSync('/no/such/file', join(dir, '80-gone.conf'));
    const { networks, problems } = readCniConfDir(dir);
    assert.deepEqual(
      networks.map(({ name, plugins }) => [name, plugins[0]?.type]),
      [
        ['a', 'bridge'],
        ['b', 'ptp'],
      ],
    );
    const said = problems.map(({ message }) => message.replaceAll(dir, 'D')).join('\n');
    assert.match(said, /D\/30-again\.json: D\/10-a\.conflist has network a\n/);
    assert.match(said, /D\/40-bad\.conflist: not JSON/);
    assert.match(said, /D\/50-large\.conf: it has more than 1048576 bytes\n/);
    assert.match(said, /D\/60-pipe\.conf: it is no regular file\n/);
    assert.match(said, /D\/70-dir\.conf: it is no regular file\n/);
    assert.equal(problems.length, 6);
    assert.equal(findCniNetwork(dir, 'b').path, join(dir, '20-b.conf'));
    assert.throws(() => findCniNetwork(dir, 'c'), {
      kind: 'not-found',
      message: /no configuration of that name in .*; Cannot use .*40-bad/,
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
});
