/** cgroup v2 and systemd: what runs inside the virtual machine in one process (test/vm/guest), and what takes a unit of systemd. The short part of `npm run test:vm`. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { guestCheckout, guestUser } from '../../tools/vm/root.ts';
import type { GuestTest } from './guest-test.ts';
import { machine, skip, tare } from './the-machine.ts';

const GUEST_TESTS_MS = 900_000;

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

test(
  'a lingering user: limits hold in the delegated subtree, and a container outlives the unit that started it',
  { skip },
  async () => {
    await machine.sh(
      `loginctl enable-linger ${guestUser}; until [ -S /run/user/1000/systemd/private ]; do sleep 1; done`,
    );
    const unit = `runuser -u ${guestUser} -- env XDG_RUNTIME_DIR=/run/user/1000 HOME=/home/${guestUser} systemd-run --user --wait --pipe --quiet`;
    const limits = "sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max'";
    assert.equal(
      await machine.sh(`${unit} ${tare} run --rm --memory 64m --pids-limit 44 host: ${limits}`),
      `${64 * 2 ** 20}\n44`,
    );
    await machine.sh(`${unit} ${tare} run -d --name outlives host: sleep 1000`);
    assert.equal(await machine.sh(`${unit} ${tare} ps --format '{{.Names}} {{.State}}'`), 'outlives running');
    assert.equal(
      await machine.sh(`cat /proc/$(pgrep -f '^tare: monitor outlives')/cgroup`),
      '0::/user.slice/user-1000.slice/user@1000.service/tare/tare-monitors',
    );
    await machine.sh(`${unit} ${tare} rm -f outlives`);
  },
);
