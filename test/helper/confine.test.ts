import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type Op, openTree } from '../../src/sys/mod.ts';
import { Bench, cannotRun, CLONE_NEWIPC, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, RDONLY } from './container.ts';

const keepAll = (1n << 41n) - 1n;

/** The value of a line of /proc/self/status. */
const field = (text: string, name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';

describe('helper: isolation steps', { skip: cannotRun() ?? false }, () => {
  it('mask: directories are empty and read-only, files read as nothing; missing and repeated ones are fine', async () => {
    using bench = new Bench();
    mkdirSync(join(bench.rootfs, 'masked2'));
    writeFileSync(join(bench.rootfs, 'masked2/file'), 'x');
    const masks: Op[] = [
      '/masked',
      '/masked2',
      '/etc/secret',
      '/proc/kcore',
      '/proc/keys',
      '/nothing',
      '/etc/secret/below',
    ].map((target) => ({ op: 'mask', target }));
    const c = bench.container({
      argv: [
        '/bin/sh',
        '-c',
        'ls -A /masked /masked2; cat /etc/secret; head -c 1 /proc/kcore; echo x > /masked/new || echo refused; echo y > /masked2/new || echo refused',
      ],
      afterPivot: masks,
    });
    assert.equal((await c.client.exit).code, 0, c.stderr);
    assert.equal(c.stdout, '/masked:\n\n/masked2:\nrefused\nrefused\n');
    assert.equal(readFileSync(join(bench.rootfs, 'etc/secret'), 'utf8'), 'secret\n');
  });

  it('readonlyPath and rootAttr: nothing below can be written', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'echo 1 > /etc/new || echo ro; echo 1 > /tmp/new && echo rw'],
      afterPivot: [
        { op: 'readonlyPath', target: '/etc' },
        { op: 'readonlyPath', target: '/missing' },
      ],
    });
    await c.client.exit;
    assert.equal(c.stdout, 'ro\nrw\n');
    const d = bench.container({
      argv: ['/bin/sh', '-c', 'echo 1 > /tmp/newer || echo ro; echo 1 > /dev/x && echo rw'],
      afterPivot: [{ op: 'rootAttr', set: RDONLY, clear: 0, recursive: 0, propagation: 0 }],
    });
    await d.client.exit;
    assert.equal(d.stdout, 'ro\nrw\n');
  });

  it('a rootfs whose /proc is a symlink is refused', async () => {
    using bench = new Bench();
    rmSync(join(bench.rootfs, 'proc'), { recursive: true });
    symlinkSync('/etc', join(bench.rootfs, 'proc'));
    const error = await bench.container({ argv: ['/bin/true'] }).client.failed;
    assert.equal(error.errno, 40);
    assert.equal(error.text, '/proc');
  });

  it('symlinks of the image never lead a mount, node, link or directory out of the root', async () => {
    using bench = new Bench();
    const outside = mkdtempSync(join(tmpdir(), 'tare-outside-'));
    try {
      rmSync(join(bench.rootfs, 'dev'), { recursive: true });
      symlinkSync(outside, join(bench.rootfs, 'dev'));
      symlinkSync(join(outside, '../tare-inside/x/y'), join(bench.rootfs, 'link'));
      symlinkSync(`../../../../..${outside}/file`, join(bench.rootfs, 'etc/conf'));
      const c = bench.container({
        argv: ['/bin/sh', '-c', `ls ${outside} /link; cat ${outside}/file`],
        beforePivot: (fd) => [
          { op: 'mkdir', target: '/link/made', mode: 0o700, uid: 5, gid: 6 },
          { op: 'mknod', target: '/link/pipe', mode: 0o10644, major: 0, minor: 0, uid: 0, gid: 0 },
          {
            op: 'mountFd',
            fd: fd(openTree('/etc/hostname', { clone: true })),
            target: '/etc/conf',
            set: RDONLY,
            clear: 0,
            recursive: 0,
            propagation: 0,
            kind: 2,
            flags: 0,
          },
        ],
      });
      assert.equal((await c.client.exit).code, 0, c.stderr);
      assert.match(c.stdout, /made\npipe/);
      assert.ok(c.stdout.endsWith(readFileSync('/etc/hostname', 'utf8')));
      assert.deepEqual(readdirSync(outside), []);
      const made = statSync(join(bench.rootfs, outside, '../tare-inside/x/y/made'));
      assert.deepEqual([made.uid, made.gid, made.mode & 0o777], [5, 6, 0o700]);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('a symlink loop and a file in the way are errors, not escapes', async () => {
    using bench = new Bench();
    symlinkSync('loop', join(bench.rootfs, 'loop'));
    const make = (target: string): Op => ({ op: 'mkdir', target, mode: 0o755, uid: 0, gid: 0 });
    assert.equal(
      (await bench.container({ argv: ['/bin/true'], beforePivot: () => [make('/loop/x')] }).client.failed).errno,
      40,
    );
    assert.equal(
      (await bench.container({ argv: ['/bin/true'], beforePivot: () => [make('/etc/secret/x')] }).client.failed).errno,
      20,
    );
    assert.equal(
      (
        await bench.container({
          argv: ['/bin/true'],
          beforePivot: () => [
            { op: 'mknod', target: '/etc/secret', mode: 0o20666, major: 1, minor: 3, uid: 0, gid: 0 },
          ],
        }).client.failed
      ).errno,
      17,
    );
  });

  it('MOUNT_NOFOLLOW refuses a target behind a link', async () => {
    using bench = new Bench();
    symlinkSync('etc', join(bench.rootfs, 'alias'));
    const mount = (target: string): Op => ({
      op: 'mountFs',
      type: 'tmpfs',
      source: 't',
      options: [],
      attrs: 0,
      target,
      mkdir: 0o755,
      flags: 4,
      propagation: 0,
    });
    assert.equal(
      (await bench.container({ argv: ['/bin/true'], beforePivot: () => [mount('/alias')] }).client.failed).errno,
      40,
    );
    assert.equal(
      (await bench.container({ argv: ['/bin/true'], beforePivot: () => [mount('/run/new')] }).client.exit).code,
      0,
    );
    const optional = { ...mount('/alias'), flags: 4 | 1 } as Op;
    assert.equal((await bench.container({ argv: ['/bin/true'], beforePivot: () => [optional] }).client.exit).code, 0);
  });

  it('cwd through a magic link, and a missing one, are refused', async () => {
    using bench = new Bench();
    for (const [path, errno] of [
      ['/proc/self/cwd', 40],
      ['/proc/1/root', 40],
      ['/missing', 2],
      ['/etc/secret', 20],
    ] as const) {
      const error = await bench.container({ argv: ['/bin/true'], last: [{ op: 'cwd', path }] }).client.failed;
      assert.equal(error.errno, errno, path);
    }
  });

  it('no descriptor but stdio reaches the process, and nothing of the host is reachable through them', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: [
        '/bin/sh',
        '-c',
        'for f in /proc/self/fd/*; do readlink $f; done | grep -v pipe; grep -c . /proc/self/mountinfo; readlink /proc/self/exe',
      ],
    });
    await c.client.exit;
    assert.match(c.stdout, /^\/dev\/null\n/);
    assert.ok(!c.stdout.includes('tare'));
  });

  it('identity: ids, groups, capabilities, no_new_privs, umask, owner of stdio', async () => {
    using bench = new Bench();
    const groups = Buffer.from(new Uint32Array([7, 8]).buffer);
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'cat /proc/self/status; umask; echo again > /dev/stdout'],
      last: [
        { op: 'capsBounding', mask: (1n << 0n) | (1n << 10n) },
        { op: 'user', uid: 1000, gid: 1001, groups, umask: 0o27 },
        { op: 'caps', effective: 1n << 10n, permitted: 1n << 10n, inheritable: 1n << 10n, ambient: 1n << 10n },
        { op: 'noNewPrivs' },
      ],
    });
    assert.equal((await c.client.exit).code, 0, c.stderr);
    assert.match(field(c.stdout, 'Uid'), /^(1000\s*){4}$/);
    assert.match(field(c.stdout, 'Gid'), /^(1001\s*){4}$/);
    assert.equal(field(c.stdout, 'Groups').trim(), '7 8');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      assert.equal(field(c.stdout, set), '0000000000000400', set);
    assert.equal(field(c.stdout, 'CapBnd'), '0000000000000401');
    assert.equal(field(c.stdout, 'NoNewPrivs'), '1');
    assert.match(c.stdout, /\n0027\nagain\n$/);
  });

  it('identity: without ambient a user without root has no capability; asking for what is not ours is not an error', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/cat', '/proc/self/status'],
      last: [
        { op: 'capsBounding', mask: keepAll },
        { op: 'user', uid: 1000, gid: 1000, groups: new Uint8Array(), umask: 0xffffffff },
        { op: 'caps', effective: keepAll, permitted: keepAll, inheritable: 0, ambient: 0 },
      ],
    });
    assert.equal((await c.client.exit).code, 0, c.stderr);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      assert.equal(field(c.stdout, set), '0000000000000000', set);
    assert.equal(field(c.stdout, 'SigBlk'), '0000000000000000');
    assert.equal(field(c.stdout, 'SigIgn'), '0000000000000000');
  });

  it('the parent-death signal survives the change of user: monitor killed, container dead', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sleep', '60'],
      last: [
        { op: 'user', uid: 1000, gid: 1000, groups: new Uint8Array(), umask: 0xffffffff },
        { op: 'caps', effective: 0, permitted: 0, inheritable: 0, ambient: 0 },
      ],
    });
    const pid = await c.client.started;
    process.kill(c.pid, 'SIGKILL');
    const { until, isAlive } = await import('./container.ts');
    await until(() => !isAlive(pid), 3000, 'it is dead');
  });

  it('seccomp: the filter holds, also without no_new_privs', async () => {
    using bench = new Bench();
    // ld nr; jeq mkdir(83 on x64, absent on arm64: mkdirat 34), errno EPERM; allow
    const number = process.arch === 'x64' ? 83 : 34;
    const filter = new DataView(new ArrayBuffer(32));
    const ins: [number, number, number, number][] = [
      [0x20, 0, 0, 0],
      [0x15, 0, 1, number],
      [0x06, 0, 0, 0x00050001],
      [0x06, 0, 0, 0x7fff0000],
    ];
    for (const [i, [code, jt, jf, k]] of ins.entries()) {
      filter.setUint16(i * 8, code, true);
      filter.setUint8(i * 8 + 2, jt);
      filter.setUint8(i * 8 + 3, jf);
      filter.setUint32(i * 8 + 4, k, true);
    }
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'mkdir /tmp/d || echo refused; grep Seccomp: /proc/self/status'],
      last: [{ op: 'seccomp', flags: 0, filter: new Uint8Array(filter.buffer) }],
    });
    await c.client.exit;
    assert.equal(c.stdout, 'refused\nSeccomp:\t2\n');
  });

  it('hostname, sysctl, rlimit, loopback', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: [
        '/bin/sh',
        '-c',
        'hostname; cat /proc/sys/net/ipv4/ip_default_ttl; ulimit -n; cat /sys/class/net/lo/flags 2>/dev/null; grep -c lo: /proc/net/dev',
      ],
      afterPivot: [
        { op: 'hostname', name: 'web' },
        { op: 'sysctl', path: 'net/ipv4/ip_default_ttl', value: '77' },
        { op: 'rlimit', resource: 7, soft: 123, hard: 456 },
        { op: 'loopback' },
      ],
    });
    await c.client.exit;
    assert.equal(c.stdout, 'web\n77\n123\n1\n');
    assert.notEqual(readFileSync('/proc/sys/net/ipv4/ip_default_ttl', 'utf8').trim(), '77');
    for (const path of ['../../etc/hostname', 'net/../kernel/hostname/x', 'missing/key']) {
      const error = await bench.container({ argv: ['/bin/true'], afterPivot: [{ op: 'sysctl', path, value: 'x' }] })
        .client.failed;
      assert.ok([2, 18, 20].includes(error.errno), `${path}: ${error.errno}`);
    }
  });

  it('copy-up: content, owner, mode, times and links of the covered directory', async () => {
    using bench = new Bench();
    const data = join(bench.rootfs, 'data');
    mkdirSync(join(data, 'sub'), { recursive: true });
    writeFileSync(join(data, 'sub/file'), 'content');
    chmodSync(join(data, 'sub/file'), 0o4755);
    chownSync(join(data, 'sub/file'), 11, 12);
    chmodSync(join(data, 'sub/file'), 0o4755);
    symlinkSync('/etc/shadow', join(data, 'link'));
    chmodSync(data, 0o711);
    const c = bench.container({
      argv: [
        '/bin/sh',
        '-c',
        'cat /data/sub/file; stat -c " %u %g %a" /data/sub/file; readlink /data/link; stat -c %a /data; echo changed > /data/sub/file',
      ],
      beforePivot: () => [
        {
          op: 'mountFs',
          type: 'tmpfs',
          source: 'tmpfs',
          options: [],
          attrs: 0,
          target: '/data',
          mkdir: 0,
          flags: 2,
          propagation: 0,
        },
      ],
    });
    assert.equal((await c.client.exit).code, 0, c.stderr);
    assert.equal(c.stdout, 'content 11 12 4755\n/etc/shadow\n711\n');
    assert.equal(readFileSync(join(data, 'sub/file'), 'utf8'), 'content');
  });

  it('a user namespace: maps are written, root inside is the mapped id', async () => {
    using bench = new Bench();
    chownSync(bench.dir, 100000, 100000);
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'id -u; cat /proc/self/uid_map /proc/self/gid_map'],
      cloneFlags: CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC,
      settings: () => [
        { op: 'idmap', uid: '0 100000 1000\n', gid: '0 100000 1000\n', setgroups: 1 },
        { op: 'oomScoreAdj', value: 77, optional: 1 },
      ],
    });
    const failed = c.client.failed.then(
      (error) => error,
      () => undefined,
    );
    const exit = await Promise.race([c.client.exit.catch(() => undefined), failed]);
    // Device nodes cannot be made in a user namespace: the step says so, after everything before it worked.
    assert.ok(exit instanceof Error);
    assert.match(exit.message, /EPERM/);
    assert.equal((exit as { text?: string }).text, '/dev/null');
  });

  it('time namespace offsets are set before the process enters', async () => {
    using bench = new Bench();
    const c = bench.container({
      argv: ['/bin/sh', '-c', 'cat /proc/self/timens_offsets; cat /proc/uptime'],
      settings: () => [{ op: 'timens', offsets: 'boottime 864000 0\n' }],
      cloneFlags: 0x80 | CLONE_NEWNS | CLONE_NEWPID,
    });
    assert.equal((await c.client.exit).code, 0, c.stderr);
    const host = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    const inside = Number(c.stdout.trim().split('\n').at(-1)?.split(' ')[0]);
    assert.ok(Math.abs(inside - host - 864000) < 10, c.stdout);
  });

  it('joins namespaces of another container', async () => {
    using bench = new Bench();
    const first = bench.container({ argv: ['/bin/sleep', '60'], afterPivot: [{ op: 'hostname', name: 'sandbox' }] });
    const pid = await first.client.started;
    const { openSync } = await import('node:fs');
    const { Fd } = await import('../../src/sys/mod.ts');
    using uts = Fd.adopt(openSync(`/proc/${pid}/ns/uts`, 'r'));
    using pidns = Fd.adopt(openSync(`/proc/${pid}/ns/pid`, 'r'));
    const second = bench.container({
      argv: ['/bin/sh', '-c', 'hostname; cat /proc/1/comm'],
      cloneFlags: CLONE_NEWNS,
      settings: (fd) => [
        { op: 'join', fd: fd(uts), nstype: 0x4000000 },
        { op: 'join', fd: fd(pidns), nstype: 0x20000000 },
      ],
    });
    assert.equal((await second.client.exit).code, 0, second.stderr);
    assert.equal(second.stdout, 'sandbox\nsleep\n');
  });

  it('leaves no mount on the host', async () => {
    using bench = new Bench();
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    await bench.container({ argv: ['/bin/true'] }).client.exit;
    assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), before);
    assert.ok(!existsSync(join(bench.at, 'bin')));
    assert.ok(lstatSync(join(bench.rootfs, 'dev')).isDirectory());
  });
});
