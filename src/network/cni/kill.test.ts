import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { containersWithAttachments } from './attachments.ts';
import type { CniNetwork } from './cni-network.ts';
import { type CniGround, deleteAllCni } from './delete.ts';
import { canCni, CniMachine } from './_ground.suite.ts';

const id = (digit: string): string => digit.repeat(64);

/** Joins and leaves without end. */
const program = (cni: CniGround, network: CniNetwork, container: string, netns: string): string => `
  import { addCni } from ${JSON.stringify(join(import.meta.dirname, 'add.ts'))};
  import { deleteAllCni } from ${JSON.stringify(join(import.meta.dirname, 'delete.ts'))};
  const [cni, network, containerId, netns] = ${JSON.stringify([cni, network, container, netns])};
  console.log('ready');
  for (;;) {
    await addCni(cni, network, { containerId, ifname: 'eth0', netns });
    await deleteAllCni(cni, containerId);
  }
`;

const start = (text: string): ReturnType<typeof spawn> =>
  spawn(process.execPath, ['--input-type=module-typescript', '-e', text], { stdio: ['ignore', 'pipe', 'inherit'] });

test('kill -9 at any moment, of two at once: deleteAllCni finds all there is', canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  const plugins = [
    { type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: true, ipam: machine.hostLocal('10.50.0.0/24') },
    { type: 'tuning', sysctl: { 'net.core.somaxconn': '77' } },
  ];
  const network = machine.network('web', plugins);
  const containers = ['a', 'b'].map((digit) => ({ container: id(digit), netns: machine.path(ground.namespace()) }));
  for (let round = 0; round < 8; round++) {
    const children = containers.map(({ container, netns }) => start(program(cni, network, container, netns)));
    await Promise.all(children.map((child) => once(child.stdout ?? child, 'data')));
    await sleep(20 + round * 37);
    const ended = children.map((child) => once(child, 'close'));
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
    for (const { container } of containers) await deleteAllCni(cni, container);
    assert.deepEqual(machine.given('web'), []);
    // The bridge stays, once it was made.
    assert.deepEqual(
      machine.links().filter((name) => name !== 'cni0'),
      [],
    );
    assert.deepEqual(machine.rules(), []);
    assert.deepEqual(containersWithAttachments(cni.stateDir), []);
  }
  assert.deepEqual(machine.links(), ['cni0'], 'some got as far as that');
});

test('a plugin that outlives whoever called it: the DEL waits for it', canCni, async () => {
  using machine = new CniMachine();
  const { ground, cni } = machine;
  machine.plugin(
    'slow',
    `test $CNI_COMMAND = DEL && exec rm -f ${machine.dir}/made; sleep 1; touch ${machine.dir}/made; echo '{}'`,
  );
  const network = machine.network('web', [{ type: 'slow' }]);
  const child = start(program(cni, network, id('a'), machine.path(ground.namespace())));
  await once(child.stdout ?? child, 'data');
  while (machine.calls.length === 0) await sleep(5);
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
  await assert.rejects(deleteAllCni({ ...cni, timeoutMs: 100 }, id('a')), {
    kind: 'deadline',
    message: /a CNI plugin, or what one started, holds it/,
  });
  await deleteAllCni(cni, id('a'));
  assert.deepEqual(machine.calls, ['slow ADD', 'slow DEL']);
  assert.equal(existsSync(join(machine.dir, 'made')), false);
});
