/** The store beside podman, loss of power, and a boot that starts containers, in a virtual machine of its own: the long part of `npm run test:vm`. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { restartUnitName } from '../../src/engine/install-units.ts';
import { machine, skip, tare } from './the-machine.ts';

/** The machine works this long before its power is cut. */
const BUSY_MS = 30_000;

test('podman and tare on the same store: each sees and runs what the other brought', { skip }, async () => {
  await machine.sh(`
    mkdir -p /tmp/bb/bin; cp /bin/busybox /tmp/bb/bin/sh
    tar -C /tmp/bb -c . | podman import --quiet - localhost/bb:1`);
  assert.equal(await machine.sh(`${tare} images --format '{{.Repository}}:{{.Tag}}'`), 'localhost/bb:1');
  assert.equal(await machine.sh(`${tare} run --rm localhost/bb:1 sh -c 'echo from tare'`), 'from tare');
  await machine.sh(`${tare} tag localhost/bb:1 localhost/bb:2`);
  const listed = await machine.sh("podman images --format '{{.Repository}}:{{.Tag}}'");
  assert.deepEqual(listed.split('\n').sort(), ['localhost/bb:1', 'localhost/bb:2']);
});

test('after a loss of power in the middle of work ps, images and run tell the truth', { skip }, async () => {
  await machine.sh(`
    ${tare} system install-units
    for name in one two; do ${tare} run -d --name $name localhost/bb:1 sh -c 'while :; do echo line; done'; done
    for policy in always unless-stopped; do ${tare} run -d --name $policy --restart $policy host: sleep 1000; done
    ${tare} run -d --name stopped --restart unless-stopped host: sleep 1000
    ${tare} stop -t 0 stopped
    ${tare} run -d --name tried --restart on-failure:1 host: sh -c 'exit 9'
    ${tare} wait tried`);
  // What was acknowledged is there afterwards, whatever goes on at that moment: also each exit code.
  const codes = new Map<string, string>();
  const busy = machine.run(
    [
      'sh',
      '-c',
      `n=0; while :; do ${tare} run --rm localhost/bb:1 sh -c 'echo x > /x' & ${tare} run -d host: sh -c true >&2
       n=$((n + 1)); ${tare} run --name ended$n host: sh -c "exit $n"; echo ended$n $?
       ${tare} tag localhost/bb:1 localhost/bb:3; ${tare} untag localhost/bb:1 localhost/bb:3; done`,
    ],
    {
      onLine(line) {
        const [name = '', code = ''] = line.split(' ');
        codes.set(name, code);
      },
    },
  );
  busy.catch(() => {});
  await sleep(BUSY_MS);
  await machine.cutPower();
  await assert.rejects(busy, /the machine is off/);
  await machine.boot();
  await machine.sh(`until systemctl is-active ${restartUnitName}; do sleep 1; done`);
  const states = await machine.sh(`${tare} ps -a --format '{{.Names}} {{.State}} {{.ExitCode}}'`);
  const rows = new Map(states.split('\n').map((row) => [row.split(' ')[0] ?? '', row.split(' ').slice(1).join(' ')]));
  assert.ok(codes.size > 0, 'something ended');
  for (const [name, code] of codes) assert.equal(rows.get(name), `exited ${code}`, name);
  const known = ['one', 'two', 'stopped', 'tried', 'always', 'unless-stopped'].map((name) => rows.get(name));
  assert.deepEqual(known, ['exited 137', 'exited 137', 'exited 137', 'exited 9', 'running 0', 'running 0']);
  const running = [...rows].filter(([, row]) => row.startsWith('running')).map(([name]) => name);
  assert.deepEqual(running.sort(), ['always', 'unless-stopped']);
  // Its policy was honoured exactly once.
  const starts = `${tare} events --stream=false --filter event=start --format '{{.Actor.Attributes.name}}'`;
  assert.equal(await machine.sh(`${starts} | sort`), 'always\nunless-stopped');
  assert.equal(await machine.sh(`${tare} inspect -f '{{.RestartCount}}' tried always unless-stopped`), '1\n0\n0');
  assert.equal(await machine.sh(`${tare} inspect -f '{{.State.ExitCode}}' one`), '137');
  assert.match(await machine.sh(`${tare} images --format '{{.Repository}}:{{.Tag}}'`), /^localhost\/bb:1$/m);
  assert.equal(await machine.sh(`${tare} run --rm localhost/bb:1 sh -c 'echo again'`), 'again');
  assert.equal(await machine.sh(`${tare} start one`), 'one');
  await machine.sh(`${tare} rm -f $(${tare} ps -aq)`);
  assert.equal(await machine.sh('podman run --rm --network none localhost/bb:1 sh -c "echo podman"'), 'podman');
  assert.equal(
    await machine.sh('ls /var/lib/tare/containers /sys/fs/cgroup/tare | grep -E "^[0-9a-f]{64}$" || true'),
    '',
  );
});

test('at boot the installed unit starts what is to run always, and not what a user stopped', { skip }, async () => {
  assert.equal(await machine.sh(`${tare} system install-units`), '/etc/systemd/system/tare-restart.service');
  await machine.sh('systemd-analyze verify tare-restart.service');
  await machine.sh(`
    ${tare} run -d --name never host: sleep 1000
    ${tare} run -d --name always --restart always host: sleep 1000
    ${tare} run -d --name unless --restart unless-stopped host: sleep 1000
    ${tare} run -d --name stopped --restart unless-stopped host: sleep 1000
    ${tare} stop -t 0 stopped`);
  await machine.reboot();
  await machine.sh('systemctl start tare-restart');
  const rows = (await machine.sh(`${tare} ps -a --format '{{.Names}} {{.State}}'`)).split('\n').sort();
  assert.deepEqual(rows, ['always running', 'never exited', 'stopped exited', 'unless running']);
  await machine.sh('systemctl stop tare-restart');
  assert.match(await machine.sh(`${tare} ps --format '{{.Names}}'`), /always/);
  await machine.sh(`${tare} rm -f $(${tare} ps -aq)`);
});

test(
  'a shutdown stops scopes as a stop does, and a boot makes that of a container with a policy again',
  { skip },
  async () => {
    const scoped = `${tare} --cgroup-manager systemd run -d`;
    const until = (code: number): string => `host: sh -c 'trap "exit ${code}" TERM; while :; do sleep 0.2; done'`;
    await machine.sh(`
    ${tare} system install-units >/dev/null
    ${scoped} --name always --restart always --memory 64m ${until(7)}
    ${scoped} --name once ${until(9)}
    ${scoped} --name gone --rm host: sleep 1000`);
    await machine.reboot();
    await machine.sh('systemctl start tare-restart');
    const rows = (await machine.sh(`${tare} ps -a --format '{{.Names}} {{.State}} {{.ExitCode}}'`)).split('\n').sort();
    assert.deepEqual(rows, ['always running 0', 'once exited 9']);
    assert.equal(await machine.sh(`${tare} exec always cat /sys/fs/cgroup/memory.max`), `${64 * 2 ** 20}`);
    const scopes = "systemctl list-units --all --plain --no-legend 'tare-*.scope'";
    assert.match(await machine.sh(scopes), /^tare-[0-9a-f]{64}\.scope +loaded active running Tare container always$/);
    await machine.sh(`${tare} rm -f always once; while ${scopes} | grep -q .; do sleep 0.2; done`);
  },
);
