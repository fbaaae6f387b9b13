import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, baseProcess, configWith, opsOf, options, plan, v1Cgroup } from './fixture.suite.ts';
import { compileExec } from './compile-exec.ts';
import { execCandidates } from './process.ts';

test('execCandidates: a name is looked for in the container’s PATH, a path is taken as it is', () => {
  assert.deepEqual(execCandidates('ls', ['PATH=/usr/bin:/bin/::relative:.:/bin']), ['/usr/bin/ls', '/bin/ls']);
  assert.deepEqual(execCandidates('./run', ['PATH=/bin']), ['./run']);
  assert.deepEqual(execCandidates('/bin/sh', []), ['/bin/sh']);
  assert.equal(execCandidates('ls', [])[0], '/usr/local/sbin/ls');
  assert.deepEqual(execCandidates('', ['PATH=/bin']), ['']);
  assert.deepEqual(execCandidates('ls', ['PATH=']), ['/ls']);
});

test('CVE-2022-29162, CVE-2022-27650, CVE-2025-27612: inheritable and ambient are empty unless the configuration names them, for exec too', () => {
  const capabilities = { bounding: ['CAP_KILL', 'CAP_CHOWN'], effective: ['CAP_KILL'], permitted: ['CAP_KILL'] };
  const expected = { op: 'caps', effective: 32n, permitted: 32n, inheritable: 0n, ambient: 0n };
  assert.deepEqual(opsOf(plan({ process: { capabilities } }), 'caps'), [expected]);
  const exec = compileExec({ ...baseProcess, capabilities }, { config: configWith(), cgroup: v1Cgroup }, options2);
  assert.deepEqual(opsOf(exec, 'caps'), [expected]);
  assert.deepEqual(opsOf(exec, 'capsBounding'), [{ op: 'capsBounding', mask: 33n }]);
  const none = compileExec(
    baseProcess,
    { config: configWith({ process: { capabilities } }), cgroup: v1Cgroup },
    options2,
  );
  assert.deepEqual(opsOf(none, 'capsBounding'), [{ op: 'capsBounding', mask: 0n }]);
});

const options2 = { seccomp: options.seccomp };

test('CVE-2024-21626: the working directory is absolute, does not lead through a descriptor, and is entered after pivot_root and before the change of user', () => {
  for (const cwd of [
    '',
    '.',
    'proc/self/fd/7',
    '/proc/self/fd/7',
    '/proc/self/fd/7/..//8',
    '/x/../proc/1/root/etc',
    '/proc/thread-self/fd/3',
    '/proc/1/task/1/cwd',
  ]) {
    assert.throws(() => plan({ process: { cwd } }), { kind: 'invalid' }, cwd);
  }
  const compiled = plan({ process: { cwd: '/srv/app/' } });
  assert.ok(at(compiled, 'mkdir', { target: '/srv/app' }) < at(compiled, 'pivot'));
  assert.ok(at(compiled, 'pivot') < at(compiled, 'cwd', { path: '/srv/app' }));
  assert.ok(at(compiled, 'cwd') < at(compiled, 'user'));
});

test('compile: user, groups, umask, limits and exec become numbers of the kernel', () => {
  const compiled = plan({
    process: {
      user: { uid: 1000, gid: 100, umask: 0o27, additionalGids: [4, 0x01020304] },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 2 ** 64 }],
      scheduler: { policy: 'SCHED_BATCH', nice: 5, flags: ['SCHED_FLAG_RESET_ON_FORK'] },
      ioPriority: { class: 'IOPRIO_CLASS_IDLE', priority: 3 },
      oomScoreAdj: -100,
    },
    linux: {
      personality: { domain: 'LINUX32' },
      memoryPolicy: { mode: 'MPOL_BIND', nodes: '0,65-66', flags: ['MPOL_F_STATIC_NODES'] },
    },
  });
  assert.deepEqual(opsOf(compiled, 'user'), [
    { op: 'user', uid: 1000, gid: 100, groups: Uint8Array.of(4, 0, 0, 0, 4, 3, 2, 1), umask: 0o27 },
  ]);
  assert.deepEqual(opsOf(compiled, 'rlimit'), [{ op: 'rlimit', resource: 7, soft: 1024n, hard: 0xffffffffffffffffn }]);
  assert.deepEqual(opsOf(compiled, 'scheduler')[0]?.policy, 3);
  assert.deepEqual(opsOf(compiled, 'ioprio'), [{ op: 'ioprio', value: (3 << 13) | 3 }]);
  assert.deepEqual(opsOf(compiled, 'personality'), [{ op: 'personality', persona: 8 }]);
  assert.deepEqual(opsOf(compiled, 'memoryPolicy'), [
    {
      op: 'memoryPolicy',
      mode: 2,
      flags: 1 << 15,
      nodes: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0),
    },
  ]);
  assert.deepEqual(opsOf(compiled, 'oomScoreAdj'), [{ op: 'oomScoreAdj', value: -100, optional: 1 }]);
});

test('compile: sysctls of the container’s own namespaces are written, others would change the host and are invalid', () => {
  const written = opsOf(
    plan({
      linux: {
        sysctl: {
          'net.ipv4.conf.eth0/1.forwarding': '1',
          'kernel/sem': '1 2 3 4',
          'fs.mqueue.msg_max': '5',
          'kernel.domainname': 'd',
        },
      },
    }),
    'sysctl',
  );
  assert.deepEqual(
    written.map(({ path }) => path),
    ['net/ipv4/conf/eth0.1/forwarding', 'kernel/sem', 'fs/mqueue/msg_max', 'kernel/domainname'],
  );
  for (const name of [
    'kernel.core_pattern',
    'vm.swappiness',
    'kernel.hostname',
    'net.ipv4..x',
    'net.../x',
    'kernel.shmmaxx',
    'fs.mqueue',
    'net/../kernel/core_pattern',
    'user.max_user_namespaces',
    '',
  ]) {
    assert.throws(() => plan({ linux: { sysctl: { [name]: '1' } } }), { kind: 'invalid' }, name);
  }
  for (const name of ['net.core.somaxconn', 'kernel.sem', 'kernel.domainname']) {
    assert.throws(
      () => plan({ linux: { namespaces: [{ type: 'mount' }], sysctl: { [name]: '1' } } }),
      { kind: 'invalid', message: /host/ },
      name,
    );
  }
});
