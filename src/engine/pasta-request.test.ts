import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePasta, pastaOptions } from './pasta-request.ts';

test('parsePasta: podman’s form, options of the network alone', () => {
  assert.deepEqual(parsePasta('pasta'), []);
  assert.deepEqual(parsePasta('pasta:-t,8080:80,--map-gw,--mtu=1500,-4'), [
    '-t',
    '8080:80',
    '--map-gw',
    '--mtu',
    '1500',
    '-4',
  ]);
  for (const text of [
    'pasta:',
    'pasta:x',
    'pasta:-t',
    'pasta:-t,',
    'pasta:-t,a b',
    'pasta:--netns=/x',
    'pasta:--pid,/tmp/x',
    'pasta:--log-file=/x',
    'pasta:--pcap=/x',
    'pasta:--map-gw=1',
    'pasta:-4,',
  ])
    assert.throws(() => parsePasta(text), { kind: 'invalid', message: /^Cannot use --network pasta/ }, text);
});

test('pastaOptions: nothing leads in or out that nobody asked for', () => {
  const none = ['-t', 'none', '-u', 'none', '-T', 'none', '-U', 'none'];
  assert.deepEqual(pastaOptions({ ports: [] }), ['--no-map-gw', ...none]);
  assert.deepEqual(pastaOptions({ ports: [], pasta: ['--map-gw', '--tcp-ns', '5432'] }), [
    ...none.filter((_, at) => at !== 4 && at !== 5),
    '--tcp-ns',
    '5432',
  ]);
  const ports = [
    { protocol: 'tcp', hostPort: 8080, port: 80 },
    { protocol: 'udp', hostAddress: '127.0.0.1', hostPort: 53, port: 53 },
  ] as const;
  assert.deepEqual(pastaOptions({ ports }), [
    ...['--no-map-gw', '-T', 'none', '-U', 'none'],
    ...['-t', '8080:80', '-u', '127.0.0.1/53'],
  ]);
});
