import assert from 'node:assert/strict';
import { openSync } from 'node:fs';
import { test } from 'node:test';
import { canNet, Ground, netnsFlag } from '../../src/network/_ground.suite.ts';
import { Fd } from '../../src/sys/fd.ts';
import { needs } from '../support/needs.ts';
import { canBeUser, UserLab } from './lab.ts';

test(
  'pods of an unprivileged user: shared names and memory, no network, nothing left',
  { skip: canBeUser },
  async () => {
    await using lab = new UserLab();
    await lab.ok('pod', 'create', '--name', 'p', '--share', '+pid');
    await lab.ok(
      'run',
      '-d',
      '--pod',
      'p',
      '--name',
      'a',
      lab.source,
      'sh',
      '-c',
      'echo hi > /dev/shm/x; exec sleep 1000',
    );
    const seen = await lab.ok(
      'run',
      '--rm',
      '--pod',
      'p',
      lab.source,
      'sh',
      '-c',
      'hostname; cat /dev/shm/x; ps; ip link | grep -c ^',
    );
    assert.match(seen, /^p\nhi\n[^]*sleep 1000[^]*\n2$/);
    assert.equal(await lab.ok('pod', 'ps', '--format', '{{.Name}} {{.Status}}'), 'p Running');
    await lab.ok('pod', 'stop', '-t', '0', 'p');
    await lab.ok('pod', 'start', 'p');
    assert.equal(await lab.ok('exec', 'a', 'cat', '/dev/shm/x'), 'hi');
    await lab.ok('pod', 'create', '--name', 'open', '--network', 'host');
    await lab.ok('run', '--rm', '--pod', 'open', lab.source, 'true');
    await lab.ok('pod', 'rm', '-fa');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

const canPublish = canBeUser || canNet.skip || needs.program('pasta');

test('ports of a pod of an unprivileged user', { skip: canPublish }, async () => {
  using ground = new Ground();
  await using lab = new UserLab({ net: netnsFlag(ground.machine), tun: true });
  for (const network of ['bridge', 'pasta']) {
    await lab.ok('pod', 'create', '--name', 'web', '--network', network, '-p', '8080:80');
    await lab.ok('run', '-d', '--pod', 'web', '--name', 'a', lab.source, 'sleep', '1000');
    if (network === 'bridge') {
      const pid = await lab.ok('inspect', '--format', '{{.State.Pid}}', 'a');
      using netns = Fd.adopt(openSync(`/proc/${pid}/ns/net`, 'r'));
      await ground.serve(netns);
      assert.match(ground.ask(ground.outside, '192.0.2.2', 8080), /^\d+\.\d+\.\d+\.\d+$/);
      assert.match(await lab.ok('ps', '--format', '{{.Ports}}'), /:8080->80\/tcp/);
      // It looks like the machine's.
    } else assert.match(await lab.ok('exec', 'a', 'ip', 'address'), /192\.0\.2\.2/);
    await lab.ok('pod', 'rm', '-f', 'web');
  }
});
