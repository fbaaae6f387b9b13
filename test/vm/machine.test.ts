/** cgroup v2 beside systemd, in the virtual machine. The short part of `npm run test:vm`. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { asUser, inside, lingers } from './inside.ts';
import { machine, skip, tare } from './the-machine.ts';

test('inside: limits by cgroup v2', { skip }, (t) => inside(t, ['vm/guest/cgroup-v2']));

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
    await lingers();
    const unit = asUser.join(' ');
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
