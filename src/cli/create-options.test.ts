import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { TareError } from '../base/errors.ts';
import type { CreateOptions } from '../engine/create-options.ts';
import { createFlags } from './create-flags.ts';
import { createOptions } from './create-options.ts';
import { parseFlags } from './parse-flags.ts';

const caller = { env: { HOME: '/home/me', EMPTY: '' }, cwd: '/cwd' };
const options = (line: readonly string[], who = caller): CreateOptions => {
  const { flags, positionals } = parseFlags(createFlags, line, { interspersed: false });
  return createOptions(flags, positionals, who);
};

test('createOptions: nothing asked for is nothing said', () => {
  assert.deepEqual(options(['host:']), { source: 'host:', argv: [], cwd: '/cwd' });
});

test('createOptions: a docker command line in full', () => {
  const line =
    '-it --rm --name web -e A=1 -e HOME -e MISSING -e EMPTY -v /s:/d:ro --tmpfs /run:size=1m -w /w -u 1:2 --userns keep-id:uid=5 --entrypoint sh -h box --net host --read-only --cap-add net_admin --cap-drop ALL --privileged --security-opt no-new-privileges --device /dev/fuse -m 512m --memory-swap -1 --memory-reservation 1m --cpus 1.5 -c 512 --cpuset-cpus 0-1 --cpuset-mems 0 --pids-limit 0 --ulimit nofile=10:20 --shm-size 1m --sysctl net.ipv4.ip_forward=1 --group-add audio --init -l a=b -l c --annotation x=y --stop-signal INT --stop-timeout 1m --log-driver json-file --log-opt max-size=1m --log-opt max-file=3 --pull never --platform linux/arm64 --host-secrets IMAGE cmd -x --name no';
  assert.deepEqual(options(line.split(' ')), {
    source: 'IMAGE',
    argv: ['cmd', '-x', '--name', 'no'],
    cwd: '/cwd',
    name: 'web',
    env: ['A=1', 'HOME=/home/me', 'EMPTY='],
    workdir: '/w',
    user: '1:2',
    userns: 'keep-id:uid=5',
    entrypoint: ['sh'],
    hostname: 'box',
    network: 'host',
    mounts: [
      { type: 'bind', source: '/s', destination: '/d', readOnly: true, createSource: true },
      { type: 'tmpfs', destination: '/run', options: ['size=1m'] },
    ],
    readOnly: true,
    capAdd: ['net_admin'],
    capDrop: ['ALL'],
    privileged: true,
    securityOpt: ['no-new-privileges'],
    devices: ['/dev/fuse'],
    resources: {
      memoryBytes: 512 * 1024 ** 2,
      memorySwapBytes: -1,
      memoryReservationBytes: 1024 ** 2,
      cpus: 1.5,
      cpuShares: 512,
      cpusetCpus: '0-1',
      cpusetMems: '0',
      pidsLimit: -1,
    },
    ulimits: ['nofile=10:20'],
    shmSizeBytes: 1024 ** 2,
    sysctls: ['net.ipv4.ip_forward=1'],
    groupAdd: ['audio'],
    init: true,
    labels: { a: 'b', c: '' },
    annotations: { x: 'y' },
    stopSignal: 'INT',
    stopTimeoutSeconds: 60,
    log: { driver: 'k8s-file', maxSizeBytes: 1024 ** 2, maxFiles: 3 },
    terminal: true,
    openStdin: true,
    autoRemove: true,
    hostSecrets: true,
    pull: 'never',
    platform: 'linux/arm64',
  } satisfies CreateOptions);
});

test('createOptions: sources by flag leave all arguments to the command', () => {
  assert.deepEqual(options(['--rootfs', 'r:O', 'sh', '-c', 'x']), {
    source: 'rootfs:r:O',
    argv: ['sh', '-c', 'x'],
    cwd: '/cwd',
  });
  assert.deepEqual(options(['--bundle', 'b']), { source: 'bundle:b', argv: [], cwd: '/cwd' });
});

test('createOptions: entrypoint is a word, a JSON list, or none', () => {
  assert.deepEqual(options(['--entrypoint', '', 'I']).entrypoint, []);
  assert.deepEqual(options(['--entrypoint', '["a","b"]', 'I']).entrypoint, ['a', 'b']);
  assert.deepEqual(options(['--entrypoint', '[', 'I']).entrypoint, ['[']);
});

test('createOptions: files of variables and labels', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tare-cli-'));
  try {
    writeFileSync(join(dir, 'env'), '# comment\n\n  A=1 # kept\nHOME\r\nMISSING\nB="q"\n');
    writeFileSync(join(dir, 'labels'), 'x=1\n# no\ny\n');
    writeFileSync(join(dir, 'bad'), 'A B=1\n');
    const who = { env: caller.env, cwd: dir };
    assert.deepEqual(options(['--env-file', 'env', '-e', 'A=2', 'I'], who).env, [
      'A=1 # kept',
      'HOME=/home/me',
      'B="q"',
      'A=2',
    ]);
    assert.deepEqual(options(['--label-file', 'labels', '-l', 'x=2', 'I'], who).labels, { x: '2', y: '' });
    assert.throws(() => options(['--env-file', 'bad', 'I'], who), /line 1: white space in the name "A B"/);
    assert.throws(() => options(['--env-file', 'none', 'I'], who), /Cannot read --env-file none: no such file/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('createOptions: bad values are errors of kind invalid', () => {
  const lines = [
    [],
    ['--rootfs', 'a', '--bundle', 'b'],
    ['--cap-add', 'FLY', 'I'],
    ['--ulimit', 'nofile=2:1', 'I'],
    ['--ulimit', 'x=1', 'I'],
    ['--stop-signal', 'NOPE', 'I'],
    ['--sysctl', 'x', 'I'],
    ['-e', '=x', 'I'],
    ['-l', '=x', 'I'],
    ['--annotation', 'x', 'I'],
    ['--log-opt', 'colour=x', 'I'],
    ['--log-opt', 'max-file=0', 'I'],
    ['--cpus', '1', '--cpu-quota', '5', 'I'],
    ['-v', '/a:/d', '--tmpfs', '/d/', 'I'],
  ];
  for (const line of lines) {
    assert.throws(
      () => options(line),
      (error) => error instanceof TareError && error.kind === 'invalid',
      line.join(' '),
    );
  }
});
