/** Output in a real journald, which runs in a mount namespace of its own: the machine's journal is not touched. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { canRun, Lab, outcome } from '../engine/lab.ts';

const JOURNALD = '/lib/systemd/systemd-journald';
const skip = canRun || (existsSync(JOURNALD) ? false : 'needs systemd');

test(
  'log driver journald: lines with their stream and fields, read back by tare logs and journalctl',
  { skip, timeout: 120_000 },
  async () => {
    await using lab = new Lab();
    const tare = lab.options.self.map((word) => `'${word}'`).join(' ');
    const script = `
    set -e
    for dir in /run/systemd /run/log /var/log; do mkdir -p $dir; mount -t tmpfs tmpfs $dir; done
    mkdir -p /run/log/journal
    test -s /etc/machine-id || { echo 0123456789abcdef0123456789abcdef > /run/log/id; mount --bind /run/log/id /etc/machine-id; }
    ${JOURNALD} >/dev/null 2>&1 & journald=$!
    for n in $(seq 200); do test -S /run/systemd/journal/socket && break; sleep 0.05; done
    ${tare} run -d --name j --log-driver journald --log-opt tag=the-tag --rootfs ${lab.rootfs}:O sh -c 'echo one; echo two >&2; printf "a\\001b\\n"; head -c 20000 /dev/zero | tr "\\\\0" x; echo; printf last' >/dev/null
    ${tare} wait j >/dev/null
    journalctl --sync 2>/dev/null || sleep 1
    ${tare} logs j 2>&1 | cut -c1-40
    echo --
    journalctl -o json --output-fields=CONTAINER_NAME,CONTAINER_TAG,PRIORITY,MESSAGE CONTAINER_NAME=j | head -2
    ${tare} rm j >/dev/null
    kill $journald
    wait $journald || true
  `;
    const child = spawn('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 100_000,
      killSignal: 'SIGKILL',
    });
    const { stdout, stderr, code } = await outcome(child);
    assert.equal(code, 0, stderr);
    const [logs = '', journal = ''] = stdout.split('--\n');
    // Two pipes: no order between them.
    const lines = logs.trimEnd().split('\n');
    assert.deepEqual(
      [lines.filter((line) => line !== 'two'), lines.length],
      [['one', 'a\u0001b', 'x'.repeat(40), 'last'], 5],
    );
    const first = JSON.parse(journal.split('\n')[0] ?? '') as Record<string, string>;
    assert.deepEqual(
      [first['CONTAINER_NAME'], first['CONTAINER_TAG'], first['PRIORITY'], first['MESSAGE']],
      ['j', 'the-tag', '6', 'one'],
    );
  },
);

test('log driver journald: where none runs the error says so and nothing is made', { skip: canRun }, async (t) => {
  await using lab = new Lab();
  if (existsSync('/run/systemd/journal/socket')) return t.skip('journald runs here');
  const { code, stderr } = await lab.tare('run', '--log-driver=journald', `--rootfs=${lab.rootfs}:O`, 'true');
  assert.equal(code, 125);
  assert.match(stderr, /journald does not run here .*use --log-driver k8s-file/);
  assert.deepEqual(await lab.leftovers(), []);
});
