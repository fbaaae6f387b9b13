/** What a container sees and may do, asked from inside. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { diffContainer, execContainer, removeContainer, startContainer, waitContainer } from '../../src/engine/mod.ts';
import { capabilityMask, defaultCapabilities } from '../../src/spec/capabilities.ts';
import { readCgroupHost } from '../../src/runtime/cgroup/mod.ts';
import { needs, type Need } from '../support/needs.ts';
import { canRun, Lab, outcome } from './lab.ts';

const skip = canRun;
const host = readCgroupHost();
const controllers = new Set(host.hierarchies.flatMap(({ controllers: some }) => some));
const controller = (name: string): Need => !controllers.has(name) && `cannot here: no cgroup controller ${name}`;

/** "Key:\tvalue" lines. */
const fields = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split('\n').map((line) => [line.split(':')[0] ?? '', line.split(':').slice(1).join(':').trim()]),
  );

const hex = (mask: bigint): string => mask.toString(16).padStart(16, '0');

test('a default container: capabilities, seccomp, no_new_privs, umask, signals, ids', { skip }, async () => {
  await using lab = new Lab();
  const status = fields(await lab.sh('cat /proc/self/status'));
  assert.equal(defaultCapabilities.length, 14);
  const mask = hex(capabilityMask(defaultCapabilities));
  assert.equal(mask, '00000000a80425fb');
  assert.deepEqual([status['CapEff'], status['CapPrm'], status['CapBnd']], [mask, mask, mask]);
  assert.deepEqual([status['CapInh'], status['CapAmb']], [hex(0n), hex(0n)]);
  assert.equal(status['Seccomp'], '2');
  assert.equal(status['NoNewPrivs'], '0');
  assert.deepEqual([status['Uid'], status['Gid'], status['Groups']], ['0\t0\t0\t0', '0\t0\t0\t0', '0']);
  assert.equal(status['Umask'], '0022');
  // Not through a shell: busybox's ignores SIGQUIT.
  const first = fields((await lab.run(['cat', '/proc/self/status'])).stdout);
  assert.deepEqual([first['SigBlk'], first['SigIgn'], first['SigCgt']], [hex(0n), hex(0n), hex(0n)]);
  assert.equal(await lab.sh('umask'), '0022');
  assert.equal(
    fields(await lab.sh('cat /proc/self/status', { securityOpt: ['no-new-privileges'] }))['NoNewPrivs'],
    '1',
  );
  assert.deepEqual(await lab.leftovers(), []);
});

test('capAdd, capDrop, privileged and another user change the capabilities as docker does', { skip }, async () => {
  await using lab = new Lab();
  const caps = async (options: Parameters<Lab['sh']>[1]): Promise<string[]> => {
    const status = fields(await lab.sh('cat /proc/self/status', options));
    return ['CapEff', 'CapPrm', 'CapBnd'].map((name) => status[name] ?? '');
  };
  const all = (mask: bigint): string[] => [hex(mask), hex(mask), hex(mask)];
  assert.deepEqual(await caps({ capDrop: ['ALL'] }), all(0n));
  assert.deepEqual(await caps({ capDrop: ['ALL'], capAdd: ['NET_ADMIN'] }), all(1n << 12n));
  const user = await caps({ user: 'user' });
  assert.deepEqual(user, [hex(0n), hex(0n), '00000000a80425fb']);
  const privileged = fields(await lab.sh('cat /proc/self/status', { privileged: true }));
  assert.equal(privileged['Seccomp'], '0');
  assert.equal(privileged['CapBnd'], fields(readFileSync('/proc/self/status', 'utf8'))['CapBnd']);
});

test('namespaces: all differ from the host, cgroups and network too', { skip }, async () => {
  await using lab = new Lab();
  const kinds = ['mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'];
  const inside = (await lab.sh(kinds.map((kind) => `readlink /proc/self/ns/${kind}`).join(';'))).split('\n');
  for (const [i, kind] of kinds.entries()) {
    assert.match(inside[i] ?? '', new RegExp(`^${kind}:\\[\\d+\\]$`));
    assert.notEqual(inside[i], readlinkSync(`/proc/self/ns/${kind}`), kind);
  }
  assert.equal(await lab.sh('ls /sys/class/net; ip -o addr show lo | wc -l; echo $$'), 'lo\n2\n1');
  assert.match(await lab.sh('ip link show lo'), /LOOPBACK,UP/);
  assert.deepEqual([...new Set((await lab.sh('cut -d: -f3 /proc/self/cgroup')).split('\n'))], ['/']);
  const net = await lab.sh('readlink /proc/self/ns/net', { network: 'host' });
  assert.equal(net, readlinkSync('/proc/self/ns/net'));
});

test('/proc and /sys: masked and read-only where docker has them', { skip }, async () => {
  await using lab = new Lab();
  const present = async (paths: string[]): Promise<string[]> =>
    (await lab.sh(`for p in ${paths.join(' ')}; do [ -e $p ] && echo $p; done`)).split('\n');
  const files = await present([
    '/proc/kcore',
    '/proc/keys',
    '/proc/timer_list',
    '/proc/latency_stats',
    '/proc/sched_debug',
  ]);
  for (const path of files)
    assert.equal(await lab.sh(`cat ${path} | wc -c; [ -c ${path} ] && echo null`), '0\nnull', path);
  const dirs = await present(['/proc/acpi', '/proc/scsi', '/sys/firmware', '/sys/devices/virtual/powercap']);
  for (const dir of dirs) assert.equal(await lab.sh(`ls -A ${dir}`), '', dir);
  for (const path of ['/proc/sys/kernel/domainname', '/proc/sysrq-trigger', '/proc/irq/default_smp_affinity'])
    assert.match(
      await lab.sh(`[ -e ${path} ] && echo x > ${path} || echo absent`),
      /Read-only|absent|nonexistent/i,
      path,
    );
  assert.match(await lab.sh('mkdir /sys/fs/x'), /Read-only/);
  assert.match(await lab.sh('mkdir /sys/fs/cgroup/x'), /Read-only/);
  assert.deepEqual(await lab.leftovers(), []);
});

test('/dev: the usual devices and no others', { skip }, async () => {
  await using lab = new Lab();
  const listed = (await lab.sh('ls /dev')).split(/\s+/);
  assert.deepEqual(
    listed.filter((name) => name !== 'core' && name !== 'mqueue'),
    ['fd', 'full', 'null', 'ptmx', 'pts', 'random', 'shm', 'stderr', 'stdin', 'stdout', 'tty', 'urandom', 'zero'],
  );
  assert.equal(
    await lab.sh('head -c 3 /dev/zero | wc -c; echo x > /dev/null; echo y 2>/dev/null > /dev/full || echo full'),
    '3\nfull',
  );
});

test(
  'device rules: a node may be made, opening it may not; --device gives one',
  { skip: skip || (host.mode === 'hybrid' || host.mode === 'v1' ? controller('devices') : false) },
  async () => {
    await using lab = new Lab();
    const disk = execFileSync('stat', ['-c', '%Hr %Lr', '/dev/vda'], { encoding: 'utf8' }).trim();
    const out = await lab.sh(
      `mknod /tmp/disk b ${disk} && head -c 1 /tmp/disk | wc -c; mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg`,
    );
    assert.match(out, /disk: Operation not permitted/);
    assert.match(out, /kmsg: Operation not permitted/);
    const given = await lab.sh('head -c 1 /dev/zzz | wc -c; echo x > /dev/zzz', {
      devices: ['/dev/zero:/dev/zzz:rwm'],
    });
    assert.equal(given, '1');
  },
);

test(
  "memory: the limit is the kernel's, and a container over it is killed and says so",
  { skip: skip || controller('memory') },
  async () => {
    await using lab = new Lab();
    const limit = 32 * 1024 * 1024;
    const file = host.mode === 'v2' ? '/sys/fs/cgroup/memory.max' : '/sys/fs/cgroup/memory/memory.limit_in_bytes';
    const { stdout, exit } = await lab.run(['sh', '-c', `cat ${file}; tail -c 100m /dev/zero`], {
      resources: { memoryBytes: limit, memorySwapBytes: limit },
    });
    assert.equal(stdout.trim(), String(limit));
    assert.deepEqual([exit.oom, exit.code], [true, 137]);
    const fine = await lab.run(['true'], { resources: { memoryBytes: limit } });
    assert.deepEqual([fine.exit.oom, fine.code], [false, 0]);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('pids: no more processes than the limit', { skip: skip || controller('pids') }, async () => {
  await using lab = new Lab();
  const out = await lab.sh('for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; echo made', {
    resources: { pidsLimit: 5 },
  });
  assert.match(out, /can't fork|Resource temporarily unavailable/i);
  const file = host.mode === 'v2' ? '/sys/fs/cgroup/pids.max' : '/sys/fs/cgroup/pids/pids.max';
  assert.equal(await lab.sh(`cat ${file}`), '2048');
});

test('cpu: quota, shares and cpuset are set', { skip: skip || controller('cpu') || controller('cpuset') }, async () => {
  await using lab = new Lab();
  const v2 = host.mode === 'v2';
  const files = v2
    ? ['cpu.max', 'cpuset.cpus.effective']
    : ['cpu/cpu.cfs_quota_us', 'cpu/cpu.cfs_period_us', 'cpu/cpu.shares', 'cpuset/cpuset.cpus'];
  const out = await lab.sh(`cd /sys/fs/cgroup; cat ${files.join(' ')}; nproc`, {
    resources: { cpus: 0.5, cpuShares: 512, cpusetCpus: '0' },
  });
  assert.equal(out, v2 ? '50000 100000\n0\n1' : '50000\n100000\n512\n0\n1');
});

test('read-only root: nothing can be written but the scratch places', { skip }, async () => {
  await using lab = new Lab();
  const out = await lab.sh('touch /x; touch /etc/x; touch /tmp/ok /run/ok /dev/shm/ok && echo scratch', {
    readOnly: true,
  });
  assert.equal(out.match(/Read-only file system/g)?.length, 2, out);
  assert.match(out, /scratch/);
  assert.equal(existsSync(join(lab.rootfs, 'x')), false);
});

test('mounts: bind rw and ro, a file, tmpfs with options, in the order of their depth', { skip }, async () => {
  await using lab = new Lab();
  const shared = join(lab.dir, 'shared');
  mkdirSync(join(shared, 'in'), { recursive: true });
  writeFileSync(join(shared, 'file'), 'host\n');
  const out = await lab.sh(
    'cat /a/file; echo from inside > /a/new; touch /b/x; cat /one; grep " /t " /proc/self/mountinfo | cut -d" " -f6; df -k /t | tail -n1; stat -c %a /t; ls /a/in',
    {
      mounts: [
        { type: 'bind', source: shared, destination: '/a', readOnly: false },
        { type: 'tmpfs', destination: '/a/in', options: [] },
        { type: 'bind', source: shared, destination: '/b', readOnly: true },
        { type: 'bind', source: join(shared, 'file'), destination: '/one', readOnly: true },
        { type: 'tmpfs', destination: '/t', options: ['size=1m', 'mode=0750', 'noexec'] },
      ],
    },
  );
  assert.match(out, /^host$/m);
  assert.match(out, /b\/x: Read-only file system/);
  assert.match(out, /rw,nosuid,nodev,noexec/);
  assert.match(out, /^750$/m);
  assert.equal(readFileSync(join(shared, 'new'), 'utf8'), 'from inside\n');
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  'mounts: propagation into a running container only where it was asked for',
  { skip: skip || needs.program('mount') },
  async () => {
    await using lab = new Lab();
    const at = join(lab.dir, 'prop');
    mkdirSync(at);
    execFileSync('mount', ['-t', 'tmpfs', 'tare-test', at]);
    try {
      execFileSync('mount', ['--make-shared', at]);
      mkdirSync(join(at, 'later'));
      const { id } = await lab.detached(['sleep', '60'], {
        mounts: [
          { type: 'bind', source: at, destination: '/private', readOnly: false },
          { type: 'bind', source: at, destination: '/slave', readOnly: false, propagation: 'rslave' },
        ],
      });
      execFileSync('mount', ['-t', 'tmpfs', 'tare-test', join(at, 'later')]);
      writeFileSync(join(at, 'later/file'), '');
      const session = await execContainer(lab.engine, id, { argv: ['ls', '/private/later', '/slave/later'] }, 'pipe');
      let out = '';
      session.onOutput((_, bytes) => void (out += Buffer.from(bytes).toString()));
      await session.exit;
      session.close();
      assert.equal(out.trim(), '/private/later:\n\n/slave/later:\nfile');
      await removeContainer(lab.engine, id, { force: true });
    } finally {
      spawnSync('umount', ['-l', join(at, 'later'), at]);
    }
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('process: ulimits, sysctls, hostname, environment, working directory, shm size', { skip }, async () => {
  await using lab = new Lab();
  assert.equal(await lab.sh('ulimit -n; ulimit -Hn', { ulimits: ['nofile=100:200'] }), '100\n200');
  assert.equal(await lab.sh('cat /proc/sys/net/ipv4/ip_forward', { sysctls: ['net.ipv4.ip_forward=1'] }), '1');
  assert.equal(
    await lab.sh('hostname; cat /etc/hostname; grep -c myhost /etc/hosts', { hostname: 'myhost' }),
    'myhost\nmyhost\n1',
  );
  const env = (await lab.sh('env', { env: ['A=b c', 'EMPTY=', 'PATH=/bin:/other', 'D=$A'] })).split('\n');
  for (const entry of ['A=b c', 'EMPTY=', 'PATH=/bin:/other', 'D=$A', 'HOME=/root', 'container=tare'])
    assert.ok(env.includes(entry), entry);
  assert.equal(env.filter((entry) => entry.startsWith('PATH=')).length, 1);
  assert.equal(await lab.sh('pwd', { workdir: '/made/on/demand' }), '/made/on/demand');
  assert.match(await lab.sh('df -k /dev/shm | tail -n1', { shmSizeBytes: 8 * 1024 * 1024 }), /\s8192\s/);
  assert.equal(await lab.sh('pwd'), '/');
});

test("process: users and groups by name and number, from the container's own files", { skip }, async () => {
  await using lab = new Lab();
  const id = (user: string, groupAdd: string[] = []): Promise<string> =>
    lab.sh('grep -E "^(Uid|Gid|Groups)" /proc/self/status | tr "\\t\\n" "  "; echo; echo $HOME', { user, groupAdd });
  assert.match(await id('user'), /Uid: 1000 1000 .*Gid: 1000 1000 .*Groups: 29 50 1000 .*\n\/home\/user$/s);
  assert.match(await id('1000:audio'), /Uid: 1000 .*Gid: 29 29 .*Groups: 29 /);
  assert.match(await id('4321'), /Uid: 4321 .*Gid: 0 0 .*\n\/$/s);
  assert.match(await id('4321:5', ['staff', '7']), /Gid: 5 5 .*Groups: 5 7 50/);
  assert.match(await id('odd'), /Uid: 1001 .*Gid: 77 77 /);
});

test('process: nothing but its three streams is open, and the session is its own', { skip }, async () => {
  await using lab = new Lab();
  // ls itself has the directory open.
  assert.equal((await lab.sh('ls /proc/self/fd')).split(/\s+/).join(' '), '0 1 2 3');
  const { id } = await lab.detached(['sleep', '60']);
  assert.deepEqual(
    execFileSync('sh', ['-c', `ls /proc/$(cut -d' ' -f1 ${lab.at(id, 'pid')})/fd`], { encoding: 'utf8' })
      .trim()
      .split('\n'),
    ['0', '1', '2'],
  );
  const session = await execContainer(
    lab.engine,
    id,
    { argv: ['sh', '-c', 'ls /proc/$$/fd; grep -E "Bnd|Secc|Blk" /proc/self/status'] },
    'pipe',
  );
  let out = '';
  session.onOutput((_, bytes) => void (out += Buffer.from(bytes).toString()));
  assert.equal((await session.exit).code, 0);
  session.close();
  assert.match(out, /^0\n1\n2\n(10\n)?Sig/);
  const status = fields(out);
  assert.deepEqual([status['CapBnd'], status['Seccomp'], status['SigBlk']], ['00000000a80425fb', '2', hex(0n)]);
  await removeContainer(lab.engine, id, { force: true });
});

test('--init: reaps orphans and passes signals on', { skip }, async () => {
  await using lab = new Lab();
  const script =
    '(sh -c "sleep 0.01 & exit" &); sleep 0.2; grep -l "^State:.Z" /proc/[0-9]*/status 2>/dev/null | wc -l; echo $$';
  const out = (await lab.sh(script, { init: true })).split('\n');
  assert.equal(out[0], '0');
  assert.notEqual(out[1], '1');
  const running = await lab.start(['sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do sleep 0.01; done'], {
    init: true,
  });
  await new Promise<void>((resolve) => running.onOutput(() => resolve()));
  await running.kill(15);
  assert.equal((await running.exit).code, 9);
  await running.finish();
  assert.deepEqual(await lab.leftovers(), []);
});

test(
  "host: shows the machine without its credentials and Tare's own state, and its changes stay inside",
  { skip },
  async () => {
    await using lab = new Lab();
    const source = 'host:';
    const look = '/bin/cat /etc/shadow | wc -c; ls -A /root/.ssh 2>/dev/null | wc -l; cat /etc/debian_version';
    const out = (await lab.sh(look, { source })).split('\n');
    assert.deepEqual(out.slice(0, 2), ['0', '0']);
    assert.equal(out[2], readFileSync('/etc/debian_version', 'utf8').trim());
    const shown = (await lab.sh(look, { source, hostSecrets: true })).split('\n');
    assert.equal(shown[0], String(statSync('/etc/shadow').size));
    assert.equal(
      await lab.sh(`ls -A ${lab.engine.root} ${lab.engine.runRoot}`, { source }),
      `${lab.engine.root}:\n\n${lab.engine.runRoot}:`,
    );
    await lab.run(['sh', '-c', 'rm /etc/debian_version; echo x > /etc/tare-test-new; mkdir /tare-test-dir'], {
      source,
    });
    assert.ok(existsSync('/etc/debian_version'));
    assert.deepEqual([existsSync('/etc/tare-test-new'), existsSync('/tare-test-dir')], [false, false]);
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test(
  'host:/path: a folder of the machine as root, changes listed as A, C and D, kept over restarts',
  { skip },
  async () => {
    await using lab = new Lab();
    const script = [
      '[ -e /again ] && { cat /data/one; exit 3; }',
      'touch /again; echo more >> /data/one; rm /data/two; rm -r /data/below; mkdir /data/below; echo n > /data/below/new; mkdir -p /made/dir; mv /etc/group /etc/moved',
      'exit 2',
    ].join('; ');
    const { id } = await lab.detached(['sh', '-c', script], { source: `host:${lab.rootfs}`, name: 'kept' });
    assert.equal((await waitContainer(lab.engine, id))?.code, 2);
    assert.deepEqual(
      (await diffContainer(lab.engine, 'kept'))
        .filter(({ path }) => !/^\/(proc|sys|dev|run)$/.test(path))
        .map(({ kind, path }) => `${kind} ${path}`),
      [
        'A /again',
        'C /data',
        'C /data/below',
        'A /data/below/new',
        'D /data/below/three',
        'C /data/one',
        'D /data/two',
        'C /etc',
        'D /etc/group',
        'A /etc/moved',
        'A /made',
        'A /made/dir',
      ],
    );
    const again = await startContainer(lab.engine, 'kept', { attach: true, stdin: false });
    let out = '';
    again.onOutput((_, bytes) => void (out += Buffer.from(bytes).toString()));
    assert.equal((await again.exit).code, 3);
    await again.finish();
    assert.equal(out, '1\nmore\n');
    assert.equal(readFileSync(join(lab.rootfs, 'data/one'), 'utf8'), '1\n');
    assert.ok(existsSync(join(lab.rootfs, 'data/two')));
    await removeContainer(lab.engine, 'kept');
    assert.deepEqual(await lab.leftovers(), []);
  },
);

test('rootfs: without :O writes into the directory; with it never', { skip }, async () => {
  await using lab = new Lab();
  await lab.run(['sh', '-c', 'echo 1 > /written'], { source: `rootfs:${lab.rootfs}` });
  assert.equal(readFileSync(join(lab.rootfs, 'written'), 'utf8'), '1\n');
  rmSync(join(lab.rootfs, 'written'));
  await lab.run(['sh', '-c', 'echo 1 > /written'], { source: `rootfs:${lab.rootfs}:O` });
  assert.equal(existsSync(join(lab.rootfs, 'written')), false);
});

test(
  'rootfs: without :O also where the machine’s mounts are shared, as systemd has them; and mounts stay inside',
  { skip },
  async () => {
    await using lab = new Lab();
    mkdirSync(join(lab.rootfs, 'm'));
    const tare = lab.options.self.map((word) => `'${word}'`).join(' ');
    const inside = 'mount -t tmpfs tmpfs /m && echo mounted; cat /proc/self/mountinfo | grep -c " / / .*shared:"';
    const script = `${tare} run --rm --privileged --rootfs ${lab.rootfs} sh -c '${inside}'; grep -c ${lab.rootfs}/m /proc/self/mountinfo`;
    const { stdout, stderr } = await outcome(
      spawn('unshare', ['--mount', '--propagation', 'shared', 'sh', '-c', script], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    assert.equal(stdout, 'mounted\n0\n0\n', stderr);
  },
);

test('a rootfs made of traps: symlinks in it never lead to the host', { skip }, async () => {
  await using lab = new Lab();
  const victim = join(lab.dir, 'victim');
  mkdirSync(victim);
  symlinkSync(victim, join(lab.rootfs, 'abs'));
  symlinkSync(`../../../../../../..${victim}`, join(lab.rootfs, 'rel'));
  rmSync(join(lab.rootfs, 'etc/passwd'));
  symlinkSync('/etc/shadow', join(lab.rootfs, 'etc/passwd'));
  const shared = join(lab.dir, 'shared');
  mkdirSync(shared);
  const mount = (destination: string) => [{ type: 'bind', source: shared, destination, readOnly: false }] as const;
  symlinkSync('loop', join(lab.rootfs, 'loop'));
  await assert.rejects(lab.run(['true'], { mounts: mount('/loop/x') }), { exitCode: 125, message: /\/loop\/x/ });
  for (const destination of ['/abs/x', '/rel/y']) {
    const out = await lab.sh(`ls -d ${destination}`, { mounts: mount(destination), workdir: '/abs/cwd' });
    assert.match(out, new RegExp(destination));
  }
  assert.equal(
    existsSync(join(victim, 'x')) || existsSync(join(victim, 'y')) || existsSync(join(victim, 'cwd')),
    false,
  );
  await assert.rejects(lab.run(['true'], { user: 'root' }), /no such name/);
  assert.deepEqual(await lab.leftovers(), []);
});
