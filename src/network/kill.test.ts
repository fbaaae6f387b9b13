import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { attach, detach } from './attach.ts';
import { canNet, Ground } from './_ground.suite.ts';
import { Firewall } from './firewall.ts';
import { leases } from './leases.ts';
import { createNetwork, findNetwork } from './networks.ts';
import { lockNetworks, namesDir } from './network-places.ts';

/** Attaches and detaches one container without end, in the namespace that is its descriptor 3. */
const program = (places: object, id: string): string => `
  import { attach, detach } from ${JSON.stringify(join(import.meta.dirname, 'attach.ts'))};
  import { networkNamespace } from ${JSON.stringify(join(import.meta.dirname, '../sys/network-namespace.ts'))};
  const places = { ...${JSON.stringify(places)}, netns: 3, isAlive: () => true };
  const ports = [{ protocol: 'tcp', hostPort: ${8000 + Number.parseInt(id[0] ?? '0', 16)}, port: 80 }];
  console.log('ready');
  for (;;) {
    using netns = networkNamespace();
    await attach(places, ${JSON.stringify(id)}, netns, [{ network: 'web' }, { network: 'back' }], ports, {
      names: ['n${id[0]}'],
      egress: { addresses: [{ subnet: '192.0.2.0/24' }], domains: [{ name: 'a.org', below: false }] },
    });
    await detach(places, ${JSON.stringify(id)}, { forget: false });
  }
`;

test(
  'attach, killed at any moment by two at once: the next one finds all there is, and others go on',
  canNet,
  async () => {
    using ground = new Ground();
    const { machine, ...rest } = { ...ground.places, machine: ground.machine };
    {
      using _lock = await lockNetworks(ground.places);
      createNetwork(ground.places, { name: 'web', ipv6: true });
      createNetwork(ground.places, { name: 'back' });
    }
    await attach(ground.places, 'f'.repeat(64), ground.namespace(), [{ network: 'web' }]);
    const kept = [...leases(ground.places, findNetwork(ground.places, 'web').id)];
    for (let round = 0; round < 8; round++) {
      const ids = ['a', 'b'].map((digit) => digit.repeat(64));
      const children = ids.map((id) =>
        spawn(process.execPath, ['--input-type=module-typescript', '-e', program(rest, id)], {
          stdio: ['ignore', 'pipe', 'inherit', machine.number],
        }),
      );
      await Promise.all(children.map((child) => once(child.stdout ?? child, 'data')));
      await sleep(10 + round * 11);
      const ended = children.map((child) => once(child, 'close'));
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(ended);
      for (const id of ids) {
        ground.dead.add(id);
        await detach(ground.places, id, { forget: true });
      }
      await ground.links(1);
      using firewall = new Firewall('tare', machine);
      assert.deepEqual([...firewall.publishers()], []);
      assert.doesNotMatch(ground.run(machine, 'nft', 'list', 'ruleset'), /chain (to|near|by)-|: jump to-/);
      assert.equal(existsSync(join(namesDir(ground.places), 'table')), false);
      assert.deepEqual([...leases(ground.places, findNetwork(ground.places, 'web').id)], kept);
      assert.equal(leases(ground.places, findNetwork(ground.places, 'back').id).size, 0);
      assert.deepEqual(readdirSync(join(ground.places.run, 'attached')), ['f'.repeat(64)]);
    }
  },
);
