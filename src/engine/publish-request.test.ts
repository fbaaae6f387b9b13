import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseExposed, parsePublish } from './publish-request.ts';

test('parsePublish: ports, ranges, addresses, protocols', () => {
  for (const [text, ports] of [
    ['80', [{ protocol: 'tcp', port: 80 }]],
    ['8080:80', [{ protocol: 'tcp', hostPort: 8080, port: 80 }]],
    ['8080:80/udp', [{ protocol: 'udp', hostPort: 8080, port: 80 }]],
    ['127.0.0.1:8080:80', [{ protocol: 'tcp', hostAddress: '127.0.0.1', hostPort: 8080, port: 80 }]],
    ['127.0.0.1::80', [{ protocol: 'tcp', hostAddress: '127.0.0.1', port: 80 }]],
    ['[::1]:8080:80/sctp', [{ protocol: 'sctp', hostAddress: '::1', hostPort: 8080, port: 80 }]],
    [':80', [{ protocol: 'tcp', port: 80 }]],
    [
      '9000-9001:80-81',
      [
        { protocol: 'tcp', hostPort: 9000, port: 80 },
        { protocol: 'tcp', hostPort: 9001, port: 81 },
      ],
    ],
  ] as const)
    assert.deepEqual(parsePublish(text), ports, text);
  assert.equal(parseExposed('8000-8010/tcp').length, 11);
});

test('parsePublish refuses the rest, in one line', () => {
  for (const text of [
    '',
    '/tcp',
    '0',
    '65536',
    '80/',
    '80/icmp',
    '80-79',
    '1-2:3',
    'x:80',
    '10.0.0:80:80',
    '::1:80:80',
    '[::1:80:80',
    '[]:80:80:80',
    '80:',
    '-80',
    '80-',
    '1.2.3.4:5:6:7',
    '80:80:80',
    'localhost:80:80',
    '8080:80:tcp',
    '0x50',
    '8 0',
    '99999999999',
    '[1.2.3.4]]:80:80',
  ])
    assert.throws(() => parsePublish(text), { kind: 'invalid', message: /^Cannot publish / }, text);
  assert.throws(() => parseExposed('80:80'), { kind: 'invalid', message: /^Cannot expose 80:80/ });
});
