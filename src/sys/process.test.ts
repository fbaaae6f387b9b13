import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempDisposableSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { memfdCreate, memfdSealed, writeFully } from './memfd.ts';
import { AT_FDCWD, O_RDONLY, O_RDWR, openat2, openPath } from './open.ts';
import {
  parseProcessStat,
  pidfdOpen,
  pidfdSendSignal,
  processStat,
  sealedProgram,
  spawnHelper,
  startTime,
} from './process.ts';
import { recvFds, socketpair } from './socket.ts';

const openFds = (): number => readdirSync('/proc/self/fd').length;
const children = (): string => readFileSync('/proc/thread-self/children', 'utf8').trim();
const asRoot = process.geteuid?.() === 0 ? {} : { skip: 'needs root' };
const withCc = existsSync('/usr/bin/cc') ? {} : { skip: 'needs cc (Debian: apt-get install gcc libc6-dev)' };

/** A program that tells about itself on fd 3, then waits for its end. */
const probeSource = String.raw`
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
int main(int argc, char **argv, char **env) {
  char out[8192], cwd[100], line[300], target[200], path[40];
  int n = 0;
  n += sprintf(out + n, "argc=%d argv0=%s env=%s cwd=%s leader=%d\n", argc, argv[0], env[0] && strncmp(env[0], "TARE_TITLE=", 11) == 0 && !env[1] ? "room" : "other", getcwd(cwd, 100), getsid(0) == getpid());
  FILE *f = fopen("/proc/self/status", "r");
  while (fgets(line, 300, f)) if (!strncmp(line, "Sig", 3) && line[3] != 'Q') n += sprintf(out + n, "%s", line);
  fclose(f);
  for (int i = 0; i < 64; i++) {
    sprintf(path, "/proc/self/fd/%d", i);
    ssize_t k = readlink(path, target, 199);
    if (k > 0) { target[k] = 0; n += sprintf(out + n, "fd%d=%s\n", i, target); }
  }
  n += sprintf(out + n, "writable=%d\n", fopen("/proc/self/exe", "r+") != 0);
  write(3, out, n);
  char c;
  return read(3, &c, 1);
}`;

function compileProbe(dir: string): string {
  writeFileSync(`${dir}/probe.c`, probeSource);
  execFileSync('cc', ['-static', '-o', `${dir}/probe`, `${dir}/probe.c`]);
  return `${dir}/probe`;
}

for (const sealing of ['clone', 'memfd'] as const) {
  test(
    `spawnHelper runs a program sealed by ${sealing} detached, clean and with exactly the given descriptors`,
    sealing === 'clone' ? { ...withCc, ...asRoot } : withCc,
    async () => {
      using temp = mkdtempDisposableSync('/tmp/tare-spawn-');
      using program = sealedProgram(compileProbe(temp.path), sealing);
      const [ours, theirs] = socketpair();
      using mine = ours;
      using file = openat2(AT_FDCWD, temp.path, { flags: O_RDONLY });
      using root = openPath('/usr');
      const before = openFds();
      const chld = { count: 0 };
      const onChild = (): void => void chld.count++;
      process.on('SIGCHLD', onChild);
      const pid = spawnHelper('monitor', [theirs, file, root, theirs, file.number], { program });
      theirs.close();
      const report = recvFds(mine, 8192, 1).bytes.toString();
      const stat = processStat(pid);
      mine.close();
      await delay(20);
      process.off('SIGCHLD', onChild);
      const socket = /fd3=(.*)/.exec(report)?.[1] ?? '';
      assert.match(socket, /^socket:/);
      assert.deepEqual(report.trimEnd().split('\n'), [
        'argc=1 argv0=tare-monitor env=room cwd=/ leader=1',
        'SigPnd:\t0000000000000000',
        'SigBlk:\t0000000000000000',
        'SigIgn:\t0000000000000000',
        'SigCgt:\t0000000000000000',
        'fd0=/dev/null',
        'fd1=/dev/null',
        'fd2=/dev/null',
        `fd3=${socket}`,
        `fd4=${temp.path}`,
        'fd5=/usr',
        `fd6=${socket}`,
        `fd7=${temp.path}`,
        'writable=0',
      ]);
      assert.equal(stat?.sessionId, pid);
      assert.notEqual(stat?.parentPid, process.pid);
      assert.deepEqual([children(), chld.count], ['', 0]);
      assert.equal(openFds(), before - 2);
    },
  );
}

test('spawnHelper keeps descriptors apart whose numbers lie in the target range', withCc, () => {
  using temp = mkdtempDisposableSync('/tmp/tare-spawn-');
  using program = sealedProgram(compileProbe(temp.path));
  const [ours, theirs] = socketpair();
  using mine = ours;
  using peer = theirs;
  // 0, 1 and 2 of this process and many low numbers, in an order that would overwrite each other if moved one by one.
  using stack = new DisposableStack();
  const low = Array.from({ length: 30 }, (_, index) => stack.use(memfdCreate(`low-${index}`)));
  spawnHelper('monitor', [peer, ...low.toReversed(), 2, 1, 0], { program });
  const report = recvFds(mine, 8192, 1).bytes.toString();
  const names = [...report.matchAll(/fd(\d+)=\/memfd:(low-\d+)/g)].map(([, fd, name]) => `${fd} ${name}`);
  assert.deepEqual(
    names,
    Array.from({ length: 30 }, (_, index) => `${4 + index} low-${29 - index}`),
  );
});

test('spawnHelper of what cannot run throws, and leaves no process and no descriptor', () => {
  const before = openFds();
  using notExecutable = openPath('/etc/passwd');
  assert.throws(() => spawnHelper('monitor', [], { program: notExecutable }), { kind: 'denied', syscall: 'execveat' });
  assert.throws(() => spawnHelper('monitor', [987_654], { program: notExecutable }), { code: 'EBADF' });
  assert.throws(
    () =>
      spawnHelper(
        'monitor',
        Array.from({ length: 257 }, () => 0),
        { program: notExecutable },
      ),
    { kind: 'invalid' },
  );
  notExecutable.close();
  assert.equal(openFds(), before);
  assert.equal(children(), '');
});

test('sealedProgram cannot be written, and fails for a missing file', () => {
  using program = sealedProgram('/bin/true', 'memfd');
  using opened = openat2(AT_FDCWD, `/proc/self/fd/${program.number}`, { flags: O_RDWR });
  assert.throws(() => writeFully(opened.number, Buffer.from('#!')), { kind: 'denied' });
  assert.throws(() => sealedProgram('/bin/no-such-program'), { kind: 'not-found' });
});

test('memfdSealed holds the bytes and refuses any change', () => {
  const bytes = Buffer.alloc(300_000, 'plan');
  using fd = memfdSealed('tare-test', bytes);
  const path = `/proc/self/fd/${fd.number}`;
  assert.ok(readFileSync(path).equals(bytes));
  assert.throws(() => writeFileSync(path, 'x', { flag: 'r+' }), { code: 'EPERM' });
});

test('pidfdSendSignal reaches the process and knows when it is gone', async () => {
  const child = spawn('sleep', ['100']);
  assert.ok(child.pid !== undefined);
  using pidfd = pidfdOpen(child.pid);
  assert.equal(pidfdSendSignal(pidfd, 0), true);
  assert.throws(() => pidfdSendSignal(pidfd, 999), { kind: 'invalid' });
  assert.equal(pidfdSendSignal(pidfd, 15), true);
  const [, signal] = await once(child, 'exit');
  assert.equal(signal, 'SIGTERM');
  assert.equal(pidfdSendSignal(pidfd, 0), false);
  assert.throws(() => pidfdOpen(child.pid ?? 0), { kind: 'not-found' });
});

test('startTime tells processes apart and is undefined for none', () => {
  const mine = startTime(process.pid);
  assert.ok(mine !== undefined && mine > 0);
  assert.ok((startTime(1) ?? Infinity) <= mine);
  assert.equal(startTime(0x7ffffffe), undefined);
});

test('parseProcessStat survives names with blanks and parentheses, and other text', () => {
  const tail = ['S', '7', '8', '9', ...Array.from({ length: 15 }, () => '0'), '4711', '0'].join(' ');
  assert.deepEqual(parseProcessStat(`42 (a) S 1 (b) ${tail}\n`), {
    pid: 42,
    name: 'a) S 1 (b',
    state: 'S',
    parentPid: 7,
    sessionId: 9,
    startTime: 4711,
  });
  for (const text of ['', '42', '42 (x', '42 (x) S', ') 42 (x', 'x (y) S 1 2'])
    assert.equal(parseProcessStat(text), undefined);
});
