import assert from 'node:assert/strict';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fd, fsconfig, fsconfigCreate, fsmount, fsopen, O_RDONLY, openat2, unlinkat } from '../../src/sys/mod.ts';
import type { MonitorClient } from '../../src/sys/monitor/client.ts';
import { Bench, cannotRun, STDIO_FDS, STDIO_NULL, STDIO_PTY, until } from './container.ts';

const record = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z) (stdout|stderr) ([FP]) ([^\n]*)$/;

/** The text of a log, streams apart; asserts that every line is a record. */
function parseLog(text: string): { stdout: string; stderr: string; tags: string } {
  const out = { stdout: '', stderr: '', tags: '' };
  for (const line of text.split('\n').slice(0, -1)) {
    const match = record.exec(line);
    assert.ok(match, `not a record: ${JSON.stringify(line.slice(0, 80))}`);
    out[match[2] as 'stdout' | 'stderr'] += (match[4] ?? '') + (match[3] === 'F' ? '\n' : '');
    out.tags += match[3];
  }
  return out;
}

/** Attached before the monitor starts, and so before the first byte: one that attaches later gets what comes later. */
function pausedReader(client: MonitorClient): void {
  client.attach({ stdout: true });
  client.pauseOutput(true);
}

describe('helper: stdio and log', { skip: cannotRun() ?? false }, () => {
  it('stdout and stderr are separate, to the client and in the log', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sh', '-c', 'echo out; echo err >&2'] });
    await c.client.exit;
    assert.deepEqual([c.stdout, c.stderr], ['out\n', 'err\n']);
    const log = parseLog(c.read('log'));
    assert.deepEqual([log.stdout, log.stderr], ['out\n', 'err\n']);
  });

  it('log: a long line is cut in partial records, an unfinished one closed by an empty full record', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: [
        '/bin/sh',
        '-c',
        'head -c 40000 /dev/zero | busybox tr "\\0" x; echo; head -c 16384 /dev/zero | busybox tr "\\0" y; echo; printf end',
      ],
    });
    await c.client.exit;
    const log = c.read('log');
    const lengths = log
      .split('\n')
      .slice(0, -1)
      .map((line) => (record.exec(line)?.[3] ?? '?') + String(record.exec(line)?.[4]?.length));
    assert.deepEqual(lengths, ['P16384', 'P16384', 'F7232', 'F16384', 'P3', 'F0']);
  });

  it('log: rotation keeps maxFiles whole files within maxBytes and loses no line of those', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/seq', '1', '2000'], logMaxBytes: 20000, logMaxFiles: 3 });
    await c.client.exit;
    const names = readdirSync(c.dir)
      .filter((name) => name.startsWith('log'))
      .sort();
    assert.deepEqual(names, ['log', 'log.1', 'log.2']);
    const numbers = ['log.2', 'log.1', 'log']
      .map((name) => parseLog(c.read(name)).stdout)
      .join('')
      .trim()
      .split('\n')
      .map(Number);
    assert.equal(numbers.at(-1), 2000);
    for (const [i, n] of numbers.entries()) if (i > 0) assert.equal(n, (numbers[i - 1] ?? 0) + 1);
    for (const name of names) assert.ok(Buffer.byteLength(c.read(name)) <= 20000);
    const one = bench.container({ argv: ['/bin/seq', '1', '2000'], logMaxBytes: 20000, logMaxFiles: 1 });
    await one.client.exit;
    assert.deepEqual(
      readdirSync(one.dir).filter((name) => name.startsWith('log')),
      ['log'],
    );
  });

  it('log: a full disk costs log lines, not output; what was lost is noted once there is room', async () => {
    using bench = new Bench();
    using context = fsopen('tmpfs');
    fsconfig(context, 'nr_blocks', '8');
    fsconfigCreate(context);
    using disk = fsmount(context);
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'seq 10000 19999; cat; echo more'],
      stdin: true,
      log: false,
      settings: (fd) => [{ op: 'log', dir: fd(disk), name: 'log', maxBytes: 0, maxFiles: 1 }],
    });
    await until(() => c.stdout.endsWith('19999\n'), 3000, 'all output came');
    const before = readLog(disk);
    unlinkat(disk, 'log');
    await c.client.reopenLog();
    await c.client.closeStdin();
    assert.equal((await c.client.exit).code, 0);
    assert.equal(c.stdout.length, 6 * 10000 + 5);
    const text = readLog(disk);
    assert.ok(before.length <= 32768 && parseLog(before).stdout.startsWith('10000\n10001\n'));
    assert.match(before + text, / stderr F \[tare: \d+ bytes of log could not be written\]\n/);
    assert.match(text, / stdout F more\n$/);
  });

  it('REOPEN_LOG continues in a new file after a rename', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/cat'], stdin: true });
    await c.client.started;
    await c.client.stdin(Buffer.from('one\n'));
    await until(() => c.stdout === 'one\n', 3000, 'the echo came');
    renameSync(join(c.dir, 'log'), join(c.dir, 'old'));
    await c.client.reopenLog();
    await c.client.stdin(Buffer.from('two\n'));
    await c.client.closeStdin();
    await c.client.exit;
    assert.equal(parseLog(c.read('old')).stdout, 'one\n');
    assert.equal(parseLog(c.read('log')).stdout, 'two\n');
  });

  it('stdin: echoed whole with back-pressure, end of file ends it', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/wc', '-c'], stdin: true });
    await c.client.started;
    const chunk = Buffer.alloc(300_000, 'z');
    for (let i = 0; i < 10; i++) await c.client.stdin(chunk);
    await c.client.closeStdin();
    assert.equal((await c.client.exit).code, 0);
    assert.equal(c.stdout.trim(), '3000000');
  });

  it('stdin closed by the container is not an error', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/sh', '-c', 'exec 0<&-; sleep 0.1; echo fine'], stdin: true });
    await c.client.started;
    for (let i = 0; i < 20; i++) await c.client.stdin(Buffer.alloc(65536));
    assert.equal((await c.client.exit).code, 0);
    assert.equal(c.stdout, 'fine\n');
  });

  it('stdin `once` closes when its client leaves; without stdin it is the null device', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/cat'], stdin: true, once: true, frames: () => {} });
    await c.client.started;
    using other = await c.connect();
    other.attach({ stdin: true });
    await other.stdin(Buffer.from('x'));
    other.close();
    assert.equal((await c.client.exit).code, 0);
    assert.equal(parseLog(c.read('log')).stdout, 'x\n');
    const none = bench.container({ argv: ['/bin/sh', '-c', 'cat; readlink /proc/self/fd/0'] });
    await none.client.exit;
    assert.equal(none.stdout, '/dev/null\n');
  });

  it('a slow reader loses nothing and slows the container', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'dd if=/dev/zero bs=65536 count=64 2>/dev/null'],
      log: false,
      frames: pausedReader,
    });
    let bytes = 0;
    c.client.onStdout = (chunk) => (bytes += chunk.length);
    await c.client.started;
    await sleep(200);
    assert.equal(bytes, 0);
    assert.ok(!c.has('exit'), 'the container must still be writing');
    c.client.pauseOutput(false);
    assert.equal((await c.client.exit).code, 0);
    assert.equal(bytes, 64 * 65536);
  });

  it('output of a container that ended while its reader paused still arrives, before EXIT', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/seq', '1', '10000'], frames: pausedReader });
    let text = '';
    c.client.onStdout = (chunk) => (text += Buffer.from(chunk).toString());
    await until(() => c.has('exit'), 3000, 'it ended');
    c.client.pauseOutput(false);
    await c.client.exit;
    assert.equal(text.trim().split('\n').length, 10000);
  });

  it('two attached clients get the same; DETACH ends it for one', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/cat'], stdin: true });
    await c.client.started;
    using other = await c.connect();
    let text = '';
    other.onStdout = (chunk) => (text += Buffer.from(chunk).toString());
    other.attach({ stdout: true });
    await other.reopenLog();
    await c.client.stdin(Buffer.from('a\n'));
    await until(() => text === 'a\n' && c.stdout === 'a\n', 3000, 'both have it');
    other.detach();
    await other.reopenLog();
    await c.client.stdin(Buffer.from('b\n'));
    await c.client.closeStdin();
    await c.client.exit;
    assert.deepEqual([text, c.stdout], ['a\n', 'a\nb\n']);
  });

  it('pty: a terminal with the size asked for, resize, controlling, /dev/console, log as stdout', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: [
        '/bin/sh',
        '-c',
        'tty; stty size; trap "stty size; exit 5" WINCH; echo ready; stat -c %t,%T /dev/console; echo ctl > /dev/tty; while :; do sleep 0.01; done',
      ],
      stdio: STDIO_PTY,
      stdin: true,
    });
    await c.client.started;
    await until(() => c.stdout.includes('ctl'), 3000, 'it is up');
    c.client.resize(50, 132);
    assert.equal((await c.client.exit).code, 5);
    assert.match(c.stdout, /^\/dev\/pts\/0\r\n24 80\r\nready\r\n88,0\r\nctl\r\n50 132\r\n$/);
    assert.match(parseLog(c.read('log')).stdout, /50 132/);
  });

  it('pty: input is echoed, interrupt reaches the process, also under init', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/cat'], stdio: STDIO_PTY, stdin: true, init: true });
    await c.client.started;
    await c.client.stdin(Buffer.from('hi\n'));
    await until(() => c.stdout === 'hi\r\nhi\r\n', 3000, 'it echoes');
    await c.client.stdin(Buffer.from('\x03'));
    assert.equal((await c.client.exit).code, 130);
  });

  it('given descriptors reach the process directly, and the monitor keeps none', async () => {
    using bench = new Bench();
    const path = join(bench.dir, 'out');
    const out = openSync(path, 'w');
    const null0 = openSync('/dev/null', 'r');
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'echo direct; echo err >&2; sleep 0.2'],
      stdio: STDIO_FDS,
      stdioFds: [null0, out, out],
    });
    closeSync(out);
    closeSync(null0);
    await c.client.started;
    assert.ok(!readdirSync(`/proc/${c.pid}/fd`).some((fd) => linkOf(c.pid, fd) === path));
    await c.client.exit;
    assert.equal(readFileSync(path, 'utf8'), 'direct\nerr\n');
    assert.ok(!existsSync(join(c.dir, 'log')));
  });

  it('null stdio: nothing is logged', async () => {
    using bench = new Bench();
    const c = bench.container({ argv: ['/bin/echo', 'x'], stdio: STDIO_NULL });
    await c.client.exit;
    assert.equal(c.stdout, '');
    assert.ok(!c.has('log') || c.read('log') === '');
  });

  it('preserved descriptors are 3, 4, ...', async () => {
    using bench = new Bench();
    const a = openSync('/etc/hostname', 'r');
    const b = openSync('/etc/os-release', 'r');
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'cat <&3; head -n 1 <&4; ls /proc/self/fd'],
      preserve: [a, b],
    });
    closeSync(a);
    closeSync(b);
    await c.client.exit;
    const expected =
      readFileSync('/etc/hostname', 'utf8') + readFileSync('/etc/os-release', 'utf8').split('\n')[0] + '\n';
    // ls opens the directory itself as the next number.
    assert.equal(c.stdout, `${expected}0\n1\n2\n3\n4\n5\n`);
  });
});

function readLog(dir: Fd): string {
  using log = openat2(dir, 'log', { flags: O_RDONLY });
  return readFileSync(log.number, 'utf8');
}

function linkOf(pid: number, fd: string): string {
  try {
    return readlinkSync(`/proc/${pid}/fd/${fd}`);
  } catch {
    return '';
  }
}
