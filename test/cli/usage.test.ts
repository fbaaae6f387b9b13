import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import test from 'node:test';
import { Lab, launcher } from './tare.ts';

const skip = existsSync(launcher) ? false : 'needs bin/tare: run npm run build';

test('tare: usage errors are one line on stderr, exit 125, and leave nothing behind', { skip }, async () => {
  using lab = new Lab();
  const cases: Record<string, RegExp> = {
    'run --nmae x host:': /^Error: Cannot use --nmae: unknown flag; did you mean --name\?\n$/,
    'run -m abc host: true': /^Error: Cannot use -m abc: expected a size like 512m or 2g\n$/,
    'run --cap-add FLY host: true': /^Error: .*FLY.*\n$/,
    'run --network bridge:ip=x host: true': /^Error: Cannot use --network ip "x": expected an IPv4 or IPv6 address\n$/,
    'run --stop-signal NOPE host: true': /^Error: .*NOPE.*\n$/,
    'run -v da/ta:/x host: true': /^Error: Cannot use --volume da\/ta:\/x: "da\/ta" is neither a path .*\n$/,
    'run --mount src=v,dst=/x,subpath=a/../b host: true': /^Error: .*must be relative and without \.\.\n$/,
    'volume ls --filter nmae=x': /^Error: .*did you mean name=.*\n$/,
    'volume rm': /^Error: Cannot run tare volume rm: it takes at least 1 argument.*\n$/,
    'run --rm': /^Error: Cannot create a container: .*\n$/,
    'run -it host: true': /^Error: the input device is not a TTY\n$/,
    'run --detach-keys ctrl-pp host: true': /^Error: Cannot use --detach-keys.*\n$/,
    'run -d -a stdout host: true': /^Error: Cannot use --detach and --attach together\n$/,
    'exec x': /^Error: Cannot run tare exec: it takes at least 2 arguments, not 1.*\n$/,
    'rnu host:': /^Error: Cannot run tare rnu: unknown verb; did you mean run\?\n$/,
    '--rot x ps': /^Error: Cannot use --rot: unknown flag; did you mean --root\?\n$/,
    '--cgroup-manager docker ps': /^Error: .*docker.*cgroupfs.*systemd.*\n$/,
    'logs --since yesterday x': /^Error: Cannot use --since yesterday.*\n$/,
  };
  for (const [line, message] of Object.entries(cases)) {
    const { code, stdout, stderr } = await lab.tare(line.split(' '));
    assert.match(stderr, message, line);
    assert.equal(stdout, '', line);
    assert.ok(code === 125 || (line.startsWith('run --') && code === 125), `${line}: ${code}`);
  }
  assert.deepEqual(readdirSync(lab.dir), []);
});

test('tare: help and version go to stdout with exit 0', { skip }, async () => {
  using lab = new Lab();
  for (const line of [
    '',
    'help',
    '--help',
    'help run',
    'run --help',
    'container --help',
    'image inspect --help',
    'help container',
  ]) {
    const { code, stdout, stderr } = await lab.tare(line.split(' ').filter(Boolean));
    assert.equal(code, 0, line);
    assert.equal(stderr, '', line);
    assert.match(stdout, /^Usage: {2}tare/, line);
  }
  assert.match((await lab.tare(['--version'])).stdout, /^tare version \d+\.\d+\.\d+\n$/);
  assert.match((await lab.tare(['version', '--format', '{{.Client.Node}}'])).stdout, /^v\d+/);
});

test('tare: several missing names are errors of their own, exit 1; -f makes them none', { skip }, async () => {
  using lab = new Lab();
  const failed = await lab.tare(['rm', 'one', 'two']);
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /^Error: .*one.*\nError: .*two.*\n$/);
  assert.deepEqual(await lab.tare(['rm', '-f', 'one', 'two']), { code: 0, stdout: '', stderr: '' });
  assert.equal((await lab.tare(['inspect', 'one'])).stdout, '[]\n');
  assert.equal((await lab.tare(['exec', 'one', 'true'])).code, 125);
});
