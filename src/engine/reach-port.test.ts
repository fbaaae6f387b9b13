import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { listeningIn, readTable } from './reach-port.ts';

test('listeningIn: what listens, and where only loopback does', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   102        0 1 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 02005A0A:0050 0100000A:C350 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0
  10: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4
  11: 0000000000000000FFFF00000100007F:1539 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 5
  12: 00000000000000000000000000000000:1BD5 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 6
`;
  assert.deepEqual(listeningIn(table), [
    { port: 5432, isLoopback: true },
    { port: 80, isLoopback: false },
    { port: 5432, isLoopback: true },
    { port: 5433, isLoopback: true },
    { port: 7125, isLoopback: false },
  ]);
  assert.deepEqual(listeningIn('nothing\n: : 0A'), []);
});

test('readTable: the kernel says the same of a socket of ours', async () => {
  for (const [host, table, isLoopback] of [
    ['127.0.0.1', 'tcp', true],
    ['0.0.0.0', 'tcp', false],
  ] as const) {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    assert.deepEqual(
      readTable(`/proc/self/net/${table}`).find((one) => one.port === port),
      { port, isLoopback },
    );
    server.close();
  }
  assert.deepEqual(readTable('/proc/self/net/none'), []);
});
