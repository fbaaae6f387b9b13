import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { formatAddress, parseAddress, parseSubnet } from '../spec/ip.ts';
import { lease, leases, releaseLeases } from './leases.ts';
import type { AddressRange } from './network.ts';
import type { NetworkPlaces } from './network-places.ts';

function placesOf(t: TestContext, alive: (container: string) => boolean = () => true): NetworkPlaces {
  const dir = mkdtempSync(join(tmpdir(), 'tare-leases-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return { records: join(dir, 'records'), run: join(dir, 'run'), table: 'tare', isAlive: alive };
}

const range = (subnet: string, gateway: string, part = subnet): AddressRange => ({
  subnet: parseSubnet(subnet),
  gateway: parseAddress(gateway),
  range: parseSubnet(part),
});
const small = range('10.0.0.0/29', '10.0.0.1');
const collect = (): void => {};

test('lease: one after the other, never the gateway, the first or the last; one that became free rests', (t) => {
  const places = placesOf(t);
  const give = (who: string): string => formatAddress(lease(places, 'n', small, who, { collect }));
  assert.deepEqual(['a', 'b', 'c', 'd'].map(give), ['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5']);
  releaseLeases(places, 'n', 'b');
  releaseLeases(places, 'n', 'b');
  assert.equal(give('e'), '10.0.0.6');
  assert.equal(give('f'), '10.0.0.3');
  assert.throws(() => give('g'), { kind: 'exhausted', message: /^Cannot give an address of 10\.0\.0\.0\/29/ });
  assert.deepEqual(
    [...leases(places, 'n')].sort(),
    Object.entries({ '10.0.0.2': 'a', '10.0.0.3': 'f', '10.0.0.4': 'c', '10.0.0.5': 'd', '10.0.0.6': 'e' }),
  );
});

test('lease: a part of the subnet, IPv6, a liked address', (t) => {
  const places = placesOf(t);
  const part = range('10.0.0.0/24', '10.0.0.1', '10.0.0.64/30');
  const give = (who: string, liked?: string): string =>
    formatAddress(
      lease(places, 'n', part, who, { collect, ...(liked === undefined ? {} : { liked: parseAddress(liked) }) }),
    );
  assert.deepEqual([give('a'), give('b')], ['10.0.0.64', '10.0.0.65']);
  assert.equal(give('c', '10.0.0.67'), '10.0.0.67');
  assert.equal(give('d', '10.0.0.67'), '10.0.0.66');
  assert.throws(() => give('e', '10.0.0.9'), { kind: 'exhausted' });
  const v6 = range('fd00::/64', 'fd00::1');
  assert.equal(formatAddress(lease(places, 'n', v6, 'a', { collect })), 'fd00::2');
});

test('lease: what the dead have is collected when it is wanted, or when nothing else is left', (t) => {
  const dead = new Set<string>();
  const places = placesOf(t, (container) => !dead.has(container));
  const collected: string[] = [];
  const how = { collect: (container: string): void => void collected.push(container) };
  for (const who of ['a', 'b', 'c', 'd', 'e']) lease(places, 'n', small, who, how);
  dead.add('c');
  const wanted = parseAddress('10.0.0.2');
  assert.throws(() => lease(places, 'n', small, 'x', { ...how, wanted }), {
    kind: 'already-exists',
    message: 'Cannot give address 10.0.0.2: container a has it',
  });
  assert.equal(formatAddress(lease(places, 'n', small, 'x', how)), '10.0.0.4');
  dead.add('a');
  assert.equal(formatAddress(lease(places, 'n', small, 'y', { ...how, wanted })), '10.0.0.2');
  assert.deepEqual(collected, ['c', 'a']);
});

test('lease: many processes at once never get the same address', async (t) => {
  const places = placesOf(t);
  const program = `
    import { lease } from ${JSON.stringify(join(import.meta.dirname, 'leases.ts'))};
    import { formatAddress, parseAddress, parseSubnet } from ${JSON.stringify(join(import.meta.dirname, '../spec/ip.ts'))};
    const places = { ...${JSON.stringify(places)}, isAlive: () => true };
    const subnet = parseSubnet('10.0.0.0/24');
    for (let i = 0; i < 50; i++)
      console.log(formatAddress(lease(places, 'n', { subnet, range: subnet, gateway: parseAddress('10.0.0.1') }, 'p' + process.pid, { collect() {} })));
  `;
  const outputs = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const output = text(child.stdout);
      await once(child, 'exit');
      return (await output).trim().split('\n');
    }),
  );
  const given = outputs.flat();
  assert.equal(given.length, 250);
  assert.equal(new Set(given).size, 250);
  assert.equal(leases(places, 'n').size, 250);
});
