/** What cannot be run is refused with the right kind, code and words, and leaves nothing. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TareError, type ErrorKind } from '../../src/base/errors.ts';
import {
  execContainer,
  LaunchError,
  listContainers,
  removeContainer,
  type CreateOptions,
} from '../../src/engine/mod.ts';
import { cgroupHost } from '../../src/engine/cgroups.ts';
import { canRun, clear, Lab, type Outcome } from './lab.ts';

const skip = canRun;

test('the command: 127 when it is missing, 126 when it cannot be executed', { skip }, async () => {
  await using lab = new Lab();
  writeFileSync(join(lab.rootfs, 'bin/plain'), 'not a program');
  writeFileSync(join(lab.rootfs, 'bin/headless'), 'echo no interpreter line\n', { mode: 0o755 });
  writeFileSync(join(lab.rootfs, 'bin/lost'), '#!/no/such/interpreter\n', { mode: 0o755 });
  symlinkSync('nowhere', join(lab.rootfs, 'bin/dangling'));
  const cases: readonly (readonly [readonly string[], number, ErrorKind, RegExp])[] = [
    [['no-such-program'], 127, 'not-found', /no-such-program/],
    [['/no/such/program'], 127, 'not-found', /\/no\/such\/program/],
    [['dangling'], 127, 'not-found', /dangling/],
    [['/bin/lost'], 127, 'not-found', /lost/],
    [['/bin/plain'], 126, 'denied', /plain/],
    [['/bin'], 126, 'denied', /\/bin/],
    [['/etc/passwd/x'], 126, 'failed-precondition', /passwd/],
    [['/bin/headless'], 126, 'invalid', /headless.*#!/],
    [[''], 127, 'not-found', /./],
  ];
  for (const [argv, exitCode, kind, message] of cases) {
    await assert.rejects(lab.run(argv), (error: unknown) => {
      assert.ok(error instanceof LaunchError, `${argv.join(' ')}: ${String(error)}`);
      assert.equal(error.exitCode, exitCode, `${argv.join(' ')}: ${error.message}`);
      assert.equal(error.kind, kind, `${argv.join(' ')}: ${error.message}`);
      assert.match(error.message, message);
      return true;
    });
    assert.deepEqual(await lab.leftovers(), []);
  }
  const missing = await lab.tare('run', '--rm', `--rootfs=${lab.rootfs}:O`, 'no-such-program');
  assert.equal(missing.code, 127);
  assert.match(missing.stderr, /^Error: Cannot [^\n]*no-such-program[^\n]*\n$/);
  const plain = await lab.tare('run', '--rm', `--rootfs=${lab.rootfs}:O`, '/bin/plain');
  assert.equal(plain.code, 126);
});

test('exec: 127 and 126 likewise, and the container goes on', { skip }, async () => {
  await using lab = new Lab();
  writeFileSync(join(lab.rootfs, 'bin/plain'), 'not a program');
  const { id } = await lab.detached(['sleep', '60']);
  const exec = (argv: string[]) => execContainer(lab.engine, id, { argv }, 'pipe');
  await assert.rejects(exec(['nope']), clear('not-found', /nope/, 127));
  await assert.rejects(exec(['/bin/plain']), clear('denied', /plain/, 126));
  await assert.rejects(
    execContainer(lab.engine, id, { argv: ['true'], user: 'nobody-here' }, 'pipe'),
    clear('not-found', /nobody-here/),
  );
  assert.equal(listContainers(lab.engine)[0]?.state, 'running');
  await removeContainer(lab.engine, id, { force: true });
  assert.deepEqual(await lab.leftovers(), []);
});

test('bad options: refused before anything is made', { skip }, async () => {
  await using lab = new Lab();
  const file = join(lab.dir, 'file');
  writeFileSync(file, '');
  const bad: readonly (readonly [Partial<CreateOptions>, ErrorKind, RegExp])[] = [
    [{ source: 'rootfs:/no/such/dir' }, 'not-found', /\/no\/such\/dir/],
    [{ source: `rootfs:${file}` }, 'invalid', /not a directory/],
    [{ source: 'rootfs:' }, 'invalid', /directory/],
    [{ source: 'host:/no/such/dir' }, 'not-found', /\/no\/such\/dir/],
    [{ source: 'bundle:/no/such/dir' }, 'not-found', /\/no\/such\/dir/],
    [{ source: `bundle:${lab.rootfs}` }, 'not-found', /config\.json/],
    [{ user: 'nobody-here' }, 'not-found', /nobody-here/],
    [{ user: 'user:nogroup-here' }, 'not-found', /nogroup-here/],
    [{ user: '2147483648' }, 'invalid', /2147483648/],
    [{ user: '-1' }, 'not-found', /-1/],
    [{ groupAdd: ['nogroup-here'] }, 'not-found', /nogroup-here/],
    [{ name: '../x' }, 'invalid', /name/],
    [{ name: '' }, 'invalid', /name/],
    [{ workdir: 'relative' }, 'invalid', /absolute/],
    [{ argv: [] }, 'invalid', /command/],
    [{ stopSignal: 'NOPE' }, 'invalid', /NOPE/],
    [{ capAdd: ['NOPE'] }, 'invalid', /NOPE/],
    [{ ulimits: ['nope=1'] }, 'invalid', /nope/],
    [{ ulimits: ['nofile=5:4'] }, 'invalid', /nofile/],
    [{ sysctls: ['novalue'] }, 'invalid', /novalue/],
    [{ sysctls: ['vm.swappiness=1'] }, 'invalid', /vm\.swappiness/],
    [{ sysctls: ['net/../kernel/../../x=1'] }, 'invalid', /sysctl|net/],
    [{ devices: ['/dev/no-such-device'] }, 'not-found', /no-such-device/],
    [{ devices: ['/dev/null:/dev/x:q'] }, 'invalid', /r, w and m/],
    [{ securityOpt: ['seccomp=/no/such/profile'] }, 'not-found', /\/no\/such\/profile/],
    [{ securityOpt: [`seccomp=${file}`] }, 'invalid', /JSON/],
    [{ securityOpt: ['nope'] }, 'invalid', /nope/],
    [{ resources: { memoryBytes: 1 } }, 'invalid', /memory/i],
    [{ resources: { cpus: -1 } }, 'invalid', /cpu/i],
    [{ resources: { cpusetCpus: '999' } }, 'invalid', /cpu/i],
    [
      { mounts: [{ type: 'bind', source: '/no/such/source', destination: '/x', readOnly: false }] },
      'not-found',
      /source/,
    ],
    [{ mounts: [{ type: 'bind', source: '/etc', destination: 'x', readOnly: false }] }, 'invalid', /absolute/],
    [{ mounts: [{ type: 'bind', source: '/etc', destination: '/', readOnly: false }] }, 'invalid', /root/],
    [{ mounts: [{ type: 'tmpfs', destination: '/x', options: ['size=nonsense'] }] }, 'invalid', /\/x|size/],
  ];
  for (const [options, kind, message] of bad) {
    await assert.rejects(
      lab.run(options.argv ?? ['true'], options),
      (error: unknown) => {
        assert.ok(error instanceof TareError, `${JSON.stringify(options)}: ${String((error as Error).stack)}`);
        assert.equal(error.kind, kind, `${JSON.stringify(options)}: ${error.kind}: ${error.message}`);
        assert.match(error.message, message, JSON.stringify(options));
        assert.match(error.message, /^Cannot /);
        return true;
      },
      JSON.stringify(options),
    );
    assert.deepEqual(await lab.leftovers(), [], JSON.stringify(options));
  }
});

test('bundle: a bad config.json is refused with the field that is wrong', { skip }, async () => {
  await using lab = new Lab();
  const bundle = join(lab.dir, 'bundle');
  mkdirSync(bundle);
  symlinkSync(lab.rootfs, join(bundle, 'rootfs'));
  const good = {
    ociVersion: '1.0.2',
    root: { path: 'rootfs' },
    process: { user: { uid: 0, gid: 0 }, args: ['true'], cwd: '/', env: ['PATH=/bin'] },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }] },
  };
  const run = (config: unknown): Promise<Outcome> => {
    writeFileSync(join(bundle, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
    return lab.run([], { source: `bundle:${bundle}` });
  };
  assert.equal((await run(good)).code, 0);
  const bad: readonly (readonly [unknown, RegExp])[] = [
    ['{', /not JSON/],
    ['[]', /./],
    [{ ...good, root: undefined }, /root/],
    [{ ...good, process: undefined }, /process/],
    [{ ...good, process: { ...good.process, args: 'true' } }, /args/],
    [{ ...good, process: { ...good.process, args: [] } }, /args|command/],
    [{ ...good, process: { ...good.process, cwd: 'x' } }, /cwd|absolute/],
    [{ ...good, process: { ...good.process, user: { uid: -1, gid: 0 } } }, /uid/],
    [{ ...good, mounts: [{ type: 'proc' }] }, /destination/],
    [{ ...good, linux: { namespaces: [{ type: 'nope' }] } }, /nope|namespace/],
    [{ ...good, root: { path: 'no-such' } }, /no-such/],
  ];
  for (const [config, message] of bad) {
    await assert.rejects(run(config), (error: unknown) => {
      assert.ok(error instanceof TareError, `${JSON.stringify(config)}: ${String((error as Error).stack)}`);
      assert.match(error.message, message, JSON.stringify(config));
      return true;
    });
    assert.deepEqual(await lab.leftovers(), [], JSON.stringify(config));
  }
});

test('systemd as cgroup manager: what is missing, before anything is made; info tells the same', { skip }, async () => {
  await using lab = new Lab();
  // Where systemd runs, a path is no slice; else it is missing, or cgroup v2 is.
  const why = !existsSync('/run/systemd/private')
    ? 'no systemd runs here (there is no /run/systemd/private); start the machine with systemd, or leave it to cgroupfs (--cgroup-manager cgroupfs)'
    : cgroupHost().mode !== 'v2'
      ? `cgroups are ${cgroupHost().mode} here`
      : 'it is not the name of a slice';
  const asked = await lab.tare('--cgroup-manager=systemd', 'run', '--rm', lab.source, 'true');
  assert.equal(asked.code, 125);
  assert.match(asked.stderr, /^Error: Cannot use [^\n]*\n$/);
  assert.ok(asked.stderr.includes(why), asked.stderr);
  assert.deepEqual(await lab.leftovers(), []);
  const info = await lab.tare(
    '--cgroup-manager=systemd',
    'info',
    '--format',
    '{{.Host.CgroupManager}} {{json .Missing}}',
  );
  assert.match(info.stdout, /^systemd /);
  assert.ok(info.stdout.includes('systemd for cgroups'), info.stdout);
  const usual = await lab.tare('info', '--format', '{{.Host.CgroupManager}}: {{.Host.CgroupManagerReason}}');
  assert.equal(usual.stdout, "cgroupfs: root's default\n");
});
