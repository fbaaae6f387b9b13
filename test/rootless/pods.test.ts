import assert from 'node:assert/strict';
import { test } from 'node:test';
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
    const { code, stderr } = await lab.tare('pod', 'create', '-p', '80');
    assert.equal(code, 125);
    assert.match(stderr, /networks of containers need root so far/);
    await lab.ok('pod', 'create', '--name', 'open', '--network', 'host');
    await lab.ok('run', '--rm', '--pod', 'open', lab.source, 'true');
    await lab.ok('pod', 'rm', '-fa');
    assert.deepEqual(await lab.leftovers(), []);
  },
);
