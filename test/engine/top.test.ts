/** The processes of a container, as it sees them. */
import assert from 'node:assert/strict';
import { getPriority } from 'node:os';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { containerProcesses, execContainer, listContainers, pauseContainer } from '../../src/engine/mod.ts';
import { canRun, clear, Lab } from './lab.ts';

const skip = canRun;

test('containerProcesses: numbers, users and groups are those of the container', { skip }, async () => {
  await using lab = new Lab();
  const { id } = await lab.detached(['sh', '-c', 'sleep 1000 & wait'], { user: 'odd' });
  await execContainer(lab.engine, id, { argv: ['sleep', '999'], user: 'user', terminal: true, detach: true }, 'detach');
  const list = async () => containerProcesses(lab.engine, id, ['pid,ppid,user,group,tty', 'comm', 'args']);
  let table = await list();
  for (let tries = 0; tries < 500 && table.rows.filter((row) => row[5] === 'sleep').length < 2; tries++)
    table = await list();
  assert.deepEqual(table.headings, ['PID', 'PPID', 'USER', 'GROUP', 'TTY', 'COMMAND', 'COMMAND']);
  const [first, ...others] = table.rows;
  assert.deepEqual(first?.slice(0, 6), ['1', '0', 'odd', '77', '?', 'sh']);
  const child = others.find((row) => row[6] === 'sleep 1000');
  assert.deepEqual(child?.slice(1, 3), ['1', 'odd']);
  const exec = others.find((row) => row[6] === 'sleep 999');
  assert.deepEqual(exec?.slice(1, 4), ['0', 'user', 'user']);
  assert.match(exec?.[4] ?? '', /^pts\/\d+$/);
  // Our own numbers, too.
  const hosts = await containerProcesses(lab.engine, id, ['hpid', 'huser']);
  assert.equal(hosts.rows[0]?.[0], String(listContainers(lab.engine)[0]?.pid));
  assert.equal(hosts.rows.length, table.rows.length);
});

test(
  'containerProcesses: every descriptor has a text; words of ps are known; others are an error',
  { skip },
  async () => {
    await using lab = new Lab();
    const { id } = await lab.detached(['sleep', '1000'], { capDrop: ['ALL'], capAdd: ['KILL'] });
    const all =
      'args capamb capbnd capeff capinh capprm comm etime group groups hgroup hgroups hpid huser label nice pcpu pgid pid pmem ppid rgroup rss ruser seccomp state stime time tty user vsz';
    const table = await containerProcesses(lab.engine, id, all.split(' '));
    const cells = Object.fromEntries(table.columns.map((column, index) => [column, table.rows[0]?.[index]]));
    assert.equal(table.columns.length, all.split(' ').length);
    for (const [column, text] of Object.entries(cells)) assert.ok(text, column);
    assert.deepEqual(
      [
        cells['capbnd'],
        cells['capeff'],
        cells['capamb'],
        cells['seccomp'],
        cells['user'],
        cells['nice'],
        cells['pgid'],
      ],
      ['KILL', 'KILL', 'none', 'filter', 'root', String(getPriority()), '1'],
    );
    assert.match(cells['stime'] ?? '', /^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d$/);
    assert.match(cells['etime'] ?? '', /^\d+s$/);
    assert.match(cells['state'] ?? '', /^[RSD]$/);
    for (const words of [[], ['aux'], ['-ef'], ['-eo', 'pid,comm'], ['-o', 'pid', '-o', 'user'], ['%p', '%U', '%C']])
      assert.equal((await containerProcesses(lab.engine, id, words)).rows.length, 1, words.join(' '));
    for (const words of [['nope'], ['-x'], ['constructor'], ['-eo', 'pid,nope']])
      await assert.rejects(
        containerProcesses(lab.engine, id, words),
        clear('invalid', /expected aux/),
        words.join(' '),
      );
    await pauseContainer(lab.engine, id);
    assert.equal((await containerProcesses(lab.engine, id)).rows.length, 1, 'paused');
  },
);

test('containerProcesses: a hostile passwd, command line and name are harmless', { skip }, async () => {
  await using lab = new Lab();
  const hostile = "sh -c 'sleep 1000; :' $(echo -e '\\033[2J') $(seq 9000)";
  const script = `cd /etc; rm passwd group; ln -s /dev/zero passwd; mknod group p; ${hostile} & wait`;
  const { id } = await lab.detached(['sh', '-c', script]);
  const running = async (): Promise<boolean> =>
    (await containerProcesses(lab.engine, id, ['comm'])).rows.some(([name]) => name === 'sleep');
  while (!(await running())) await sleep(5);
  const { rows } = await containerProcesses(lab.engine, id, ['user', 'group', 'args']);
  for (const row of rows) {
    assert.deepEqual(row.slice(0, 2), ['0', '0']);
    assert.ok((row[2] ?? '').length <= 16 * 1024);
  }
  const shown = await lab.tare('top', id);
  assert.equal(shown.code, 0, shown.stderr);
  assert.doesNotMatch(shown.stdout, /\u001b/);
});

test('containerProcesses: what does not run has none', { skip }, async () => {
  await using lab = new Lab();
  await lab.run(['true'], { autoRemove: false, name: 'done' });
  await assert.rejects(containerProcesses(lab.engine, 'done'), clear('failed-precondition', /exited, not running/));
  await assert.rejects(containerProcesses(lab.engine, 'nobody'), clear('not-found', /no such container/));
});
