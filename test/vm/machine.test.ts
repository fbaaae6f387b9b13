/** The virtual machine, from outside: `npm run test:vm`. One machine boots for all of it; tests of test/vm/guest run inside in one process. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { guestCheckout } from '../../tools/vm/root.ts';
import { Machine } from '../../tools/vm/machine.ts';
import { needs } from '../support/needs.ts';
import type { GuestTest } from './guest-test.ts';

const skip = needs.root() || needs.program('qemu-system-x86_64', 'qemu-img', 'mmdebstrap', 'mke2fs');
const GUEST_TESTS_MS = 900_000;
/** The machine works this long before its power is cut. */
const BUSY_MS = 30_000;
const tare = `${guestCheckout}/bin/tare`;
let machine: Machine;

before(async () => {
  if (skip !== false) return;
  machine = await Machine.create((line) => console.error(`vm: ${line}`));
  await machine.boot();
});
after(async () => machine?.[Symbol.asyncDispose]());

test('inside: every test of test/vm/guest', { skip }, async (t) => {
  const files = readdirSync(join(import.meta.dirname, 'guest')).filter((name) => name.endsWith('.test.ts'));
  const results: GuestTest[] = [];
  const argv = [
    `${guestCheckout}/tools/node`,
    `${guestCheckout}/test/vm/guest/run-tests.js`,
    ...files.map((name) => `${guestCheckout}/test/vm/guest/${name.replace(/\.ts$/, '.js')}`),
  ];
  const { code, stderr } = await machine.run(argv, {
    timeoutMs: GUEST_TESTS_MS,
    onLine: (line) => void results.push(JSON.parse(line) as GuestTest),
  });
  for (const { name, file, error, skip: skipped } of results) {
    await t.test(`${file}: ${name}`, { skip: skipped ?? false }, () => {
      if (error !== undefined) throw new Error(error);
    });
  }
  assert.ok(results.length > 0, `no test ran (exit code ${code}): ${stderr}`);
  assert.equal(code, 0, stderr);
});

test("a container outlives the unit that started it: its monitor left the unit's cgroup", { skip }, async () => {
  await machine.sh(`systemd-run --quiet --wait --unit=session ${tare} run -d --name outlives host: sleep 1000`);
  assert.equal(
    await machine.sh('systemctl show -P ActiveState session; ls /sys/fs/cgroup/system.slice | grep -c session || true'),
    'inactive\n0',
  );
  assert.equal(await machine.sh(`${tare} ps --format '{{.Names}} {{.State}}'`), 'outlives running');
  await machine.sh(`${tare} rm -f outlives`);
});

test('limits hold after systemd reloads and starts units of its own', { skip }, async () => {
  const id = await machine.sh(`${tare} run -d --name limited --memory 64m host: sleep 1000`);
  await machine.sh('systemctl daemon-reload; systemd-run --quiet --wait -p MemoryMax=1G -p CPUWeight=50 true');
  assert.equal(await machine.sh(`cat /sys/fs/cgroup/tare/${id}/memory.max`), `${64 * 2 ** 20}`);
  await machine.sh(`${tare} rm -f limited`);
});

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
  await machine.sh(
    `for name in one two; do ${tare} run -d --name $name localhost/bb:1 sh -c 'while :; do echo line; done'; done`,
  );
  // What was acknowledged is there afterwards, whatever goes on at that moment.
  const busy = machine.run([
    'sh',
    '-c',
    `while :; do ${tare} run --rm localhost/bb:1 sh -c 'echo x > /x' & ${tare} run -d host: sh -c true; ${tare} tag localhost/bb:1 localhost/bb:3; ${tare} untag localhost/bb:3; done`,
  ]);
  busy.catch(() => {});
  await sleep(BUSY_MS);
  await machine.cutPower();
  await assert.rejects(busy, /the machine is off/);
  await machine.boot();
  const rows = (await machine.sh(`${tare} ps -a --format '{{.Names}} {{.State}}'`)).split('\n');
  assert.deepEqual(
    rows.filter((row) => /^(one|two) /.test(row)),
    ['two exited', 'one exited'],
  );
  assert.deepEqual(
    rows.filter((row) => / running$/.test(row)),
    [],
  );
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
