/** Scopes of systemd, user namespaces and a user's units, in the virtual machine. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'node:test';
import { restartUnitName } from '../../src/engine/install-units.ts';
import { guestUser } from '../../tools/vm/root.ts';
import { asUser, inside, lingers } from './inside.ts';
import { machine, skip, tare } from './the-machine.ts';

test('inside: scopes of systemd, user namespaces, and whatever else is in test/vm/guest', { skip }, async (t) => {
  const files = readdirSync(join(import.meta.dirname, 'guest')).filter((name) => name.endsWith('.test.ts'));
  const names = files.map((name) => `vm/guest/${basename(name, '.test.ts')}`);
  await inside(
    t,
    names.filter((name) => name !== 'vm/guest/cgroup-v2'),
  );
});

test(
  "a user in a plain login session, whose cgroup is root's: limits hold in scopes of the user's own systemd",
  { skip },
  async () => {
    const session = (script: string): Promise<string> =>
      machine.sh(`su -l ${guestUser} -c "$SCRIPT"`, {
        env: { SCRIPT: `set -e\nexport TARE_DEFAULT_NETWORK=none\n${script}` },
        timeoutMs: 300_000,
      });
    assert.equal(
      await session(`
        grep -o session-.*scope /proc/self/cgroup | tr -d 0-9
        ${tare} run --rm --memory 64m --pids-limit 44 --cpus 0.5 host: sh -c 'cd /sys/fs/cgroup; cat memory.max pids.max cpu.max' 2>&1
        ${tare} run --rm --pids-limit 5 host: sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all' 2>&1 || true
        ${tare} run --rm --memory 32m --memory-swap 32m host: tail /dev/zero || echo code $?
        ${tare} info --format '{{.Host.CgroupManager}} {{.Host.CgroupControllers}}'
        ${tare} run -d --name plain --restart always --memory 64m host: sleep 1000 >/dev/null`),
      [
        'session-c.scope',
        `${64 * 2 ** 20}`,
        '44',
        '50000 100000',
        'sh: 0: Cannot fork',
        'code 137',
        'systemd [cpu memory pids]',
      ].join('\n'),
    );
    // The session has ended, and with it all that was in its own scope.
    assert.equal(
      await session(`
        ${tare} ps --format '{{.Names}} {{.State}}'
        systemctl --user daemon-reload
        ${tare} exec plain cat /sys/fs/cgroup/memory.max
        ${tare} update --memory 80m plain
        ${tare} pause plain; ${tare} unpause plain
        ${tare} stats --no-stream --format '{{.MemUsage}}' plain | sed 's/.*\\///'
        ${tare} restart -t 0 plain
        ${tare} exec plain cat /sys/fs/cgroup/memory.max
        kill -9 $(pgrep -f '^tare: monitor plain'); sleep 0.5
        ${tare} ps -a --format '{{.Names}} {{.State}}'
        ${tare} rm -f plain
        for i in 1 2 3 4 5 6 7 8 9; do systemctl --user --all --no-legend list-units 'tare-*.scope' | grep -q . || break; sleep 0.5; done
        systemctl --user --all --no-legend list-units 'tare-*.scope'`),
      [
        'plain running',
        `${64 * 2 ** 20}`,
        'plain',
        'plain',
        'plain',
        ' 80MiB',
        'plain',
        `${80 * 2 ** 20}`,
        'plain exited',
        'plain',
      ].join('\n'),
    );
  },
);

test(
  'a user whose systemd does not run: limits are left out with a warning, and asking for scopes says why',
  { skip },
  async () => {
    await machine.sh(`loginctl disable-linger ${guestUser}; systemctl stop user@1000`);
    const user = `cd /; runuser -u ${guestUser} -- env -u XDG_RUNTIME_DIR HOME=/home/${guestUser} TARE_DEFAULT_NETWORK=none ${tare}`;
    assert.match(
      await machine.sh(`(${user} run --rm --memory 64m host: echo ran) 2>&1`),
      /^Warning: Limits of memory are not applied: .*\nran$/,
    );
    assert.match(
      await machine.sh(`(${user} --cgroup-manager systemd run --rm host: true || echo $?) 2>&1`),
      /^Error: Cannot use systemd for cgroups: this user's systemd does not run \(.*loginctl enable-linger, or leave it to cgroupfs \(--cgroup-manager cgroupfs\)\n125$/,
    );
  },
);

test('a lingering user: an always container comes back after a reboot, by a unit of their own', { skip }, async () => {
  await lingers();
  const unit = asUser.join(' ');
  assert.equal(
    await machine.sh(`${unit} ${tare} system install-units --user`),
    `/home/${guestUser}/.config/systemd/user/${restartUnitName}`,
  );
  await machine.sh(`
    ${unit} ${tare} run -d --name always --restart always host: sh -c 'echo run; exec sleep 1000'
    ${unit} ${tare} run -d --name stopped --restart unless-stopped host: sleep 1000
    ${unit} ${tare} stop -t 0 stopped
    ${unit} ${tare} run -d --name never host: sleep 1000`);
  await machine.reboot();
  await machine.sh(`until [ -S /run/user/1000/systemd/private ]; do sleep 1; done
    until ${unit} systemctl --user is-active ${restartUnitName}; do sleep 1; done`);
  const rows = (await machine.sh(`${unit} ${tare} ps -a --format '{{.Names}} {{.State}}'`)).split('\n').sort();
  assert.deepEqual(rows, ['always running', 'never exited', 'stopped exited']);
  // Started once, and none of the unit's: it may be stopped.
  assert.equal(await machine.sh(`${unit} ${tare} logs always`), 'run\nrun');
  await machine.sh(`${unit} systemctl --user stop ${restartUnitName}`);
  assert.equal(await machine.sh(`${unit} ${tare} exec always echo lives`), 'lives');
  await machine.sh(`${unit} ${tare} rm -f always stopped never`);
});
