/** Volumes through the command line and the engine: made, filled, shared, removed. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createVolume, listVolumes, removeVolume } from '../../src/engine/mod.ts';
import { isKind } from '../../src/base/errors.ts';
import { canRun, slowness } from './lab.ts';
import { look, seen, VolumeLab } from './volume-lab.ts';

const skip = canRun;
/** A part of what is mounted for one container alone can be mounted. */
const takesParts = ((): boolean => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 15);
})();

interface Seen {
  readonly Type: string;
  readonly Name?: string;
  readonly Source: string;
  readonly Destination: string;
  readonly RW: boolean;
}

describe('volumes', { skip, concurrency: 1, timeout: 240_000 * slowness }, () => {
  test('create, ls, inspect, exists, rm: names are checked, two of one name are one', async () => {
    await using lab = new VolumeLab();
    assert.equal(await lab.ok('volume', 'create', '-l', 'a=b', '-l', 'c', 'data'), 'data');
    assert.match(await lab.fails('volume', 'create', 'data'), /^Error: Cannot create volume data: it is there already/);
    assert.equal(await lab.ok('volume', 'create', '--ignore', 'data'), 'data');
    assert.match(await lab.ok('volume', 'create'), /^[0-9a-f]{64}$/);
    for (const name of ['../x', '.', '..', '.hidden', 'a/b', '', 'a b', '-x', 'ü', 'n'.repeat(256)]) {
      const { code, stderr } = await lab.tare('volume', 'create', '--', name);
      assert.equal(code, 1, name);
      assert.match(stderr, /^Error: Cannot use volume name /, name);
    }
    const made = await Promise.all(
      Array.from({ length: 8 }, () =>
        createVolume(lab.anotherEngine(), { name: 'race' }).catch((error: unknown) => error),
      ),
    );
    assert.equal(made.filter((one) => one === 'race').length, 1, 'one of them made it');
    assert.equal(made.filter((one) => isKind(one, 'already-exists')).length, 7);

    const [inspected] = JSON.parse(await lab.ok('volume', 'inspect', 'data')) as [Record<string, unknown>];
    assert.deepEqual(
      [inspected['Labels'], inspected['Scope'], inspected['Anonymous']],
      [{ a: 'b', c: '' }, 'local', false],
    );
    assert.equal(inspected['Mountpoint'], lab.volume('data', '_data'));
    assert.deepEqual(JSON.parse(await lab.ok('inspect', 'data')), [inspected], 'inspect finds it, too');
    assert.equal(await lab.ok('volume', 'ls', '--filter', 'label=c', '--format', '{{.Name}} {{.Label "a"}}'), 'data b');
    assert.match(await lab.ok('volume', 'ls'), /^DRIVER {3}VOLUME NAME\nlocal {4}/);
    assert.equal((await lab.tare('volume', 'exists', 'data')).code, 0);
    assert.equal((await lab.tare('volume', 'exists', 'nope')).code, 1);
    assert.match(await lab.fails('volume', 'rm', 'nope'), /no such volume$/);
    await lab.ok('volume', 'rm', '-f', 'nope', 'data');
    await lab.ok('volume', 'rm', '--all');
    assert.deepEqual(await lab.volumes(), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test("the image's volume is filled with what it has there: owners, modes, links; it goes with --rm and rm -v", async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    assert.equal(await lab.ok('run', '--rm', 'v', 'sh', '-c', look), seen);
    assert.deepEqual(await lab.volumes(), []);
    await lab.ok('create', '--name', 'c', 'v', 'sh', '-c', `${look}; echo more >>/data/file`);
    const [name = ''] = await lab.volumes();
    assert.match(name, /^[0-9a-f]{64}$/);
    assert.equal(await lab.ok('start', '-a', 'c'), seen);
    assert.equal(readFileSync(lab.volume(name, '_data/file'), 'utf8'), 'givenmore\n', 'it is filled once');
    assert.match(await lab.ok('start', '-a', 'c'), /givenmore$/);
    assert.equal(await lab.ok('diff', 'c'), '');
    await lab.ok('cp', 'c:/data/file', join(lab.dir, 'out'));
    assert.match(readFileSync(join(lab.dir, 'out'), 'utf8'), /^givenmore/);
    const [mount] = JSON.parse(await lab.ok('inspect', '--format', '{{json .Mounts}}', 'c')) as Seen[];
    assert.deepEqual(
      [mount?.Type, mount?.Name, mount?.Source, mount?.Destination, mount?.RW],
      ['volume', name, lab.volume(name, '_data'), '/data', true],
    );
    await lab.ok('rm', 'c');
    assert.deepEqual(await lab.volumes(), [name], 'without -v it stays');
    await lab.ok('volume', 'prune', '-f');
    assert.deepEqual(await lab.volumes(), []);
    await lab.ok('create', '--name', 'c', 'v', 'true');
    await lab.ok('container', 'clone', 'c', 'd');
    assert.equal((await lab.volumes()).length, 2, 'a clone has its own');
    await lab.ok('rm', '-v', 'c', 'd');
    assert.deepEqual(await lab.volumes(), []);
    // Its place may be a link of the image, and one that leads out of it leads nowhere else.
    await lab.pull('linked', { Volumes: { '/link': {}, '/out/x': {}, '/../../up': {}, '/': {}, '': {} } });
    assert.equal(await lab.ok('run', '--rm', 'linked', 'sh', '-c', look), seen);
    assert.equal(
      await lab.ok('run', '--rm', 'linked', 'sh', '-c', 'touch /out/x/f && ls /etc /up'),
      '/etc:\nhostname\nhosts\npasswd\nx\n\n/up:',
    );
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('volumes with names: shared, filled by the first, kept; nocopy, ro, U, noexec, subpath', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    assert.equal(await lab.ok('run', '--rm', '-v', 'data:/data', 'v', 'sh', '-c', look), seen);
    assert.equal(await lab.ok('run', '--rm', '-v', 'data:/elsewhere:ro', 'v', 'cat', '/elsewhere/file'), 'given');
    const refused = await lab.tare('run', '--rm', '-v', 'data:/data:ro', 'v', 'touch', '/data/new');
    assert.match(refused.stderr, /Read-only file system/);
    await lab.ok('run', '--rm', '-v', 'data:/data', 'v', 'sh', '-c', 'rm -r /data/*');
    assert.equal(await lab.ok('run', '--rm', '-v', 'data:/data', 'v', 'ls', '/data'), '', 'it was filled once');
    assert.equal(await lab.ok('run', '--rm', '-v', 'empty:/data:nocopy', 'v', 'ls', '/data'), '');
    assert.equal(
      await lab.ok('run', '--rm', '-v', 'empty:/data', 'v', 'cat', '/data/file'),
      'given',
      'and then filled',
    );
    const own = ['stat', '-c', '%u:%g', '/data', '/data/file', '/data/out'];
    assert.equal(
      await lab.ok('run', '--rm', '-v', 'given:/data:U', '-u', 'u', 'v', ...own),
      '1000:1001\n1000:1001\n1000:1001',
    );
    assert.match(
      await lab.ok('run', '--rm', '-v', 'data:/data:noexec,dev', 'v', 'sh', '-c', 'mount | grep " /data "'),
      /\(rw,nosuid,noexec/,
    );
    assert.match(
      await lab.ok('run', '--rm', '-v', 'data:/data:rro', 'v', 'sh', '-c', 'mount | grep " /data "'),
      /\(ro,/,
    );
    assert.equal(await lab.ok('run', '--rm', '--mount', 'src=given,dst=/m,subpath=sub', 'v', 'ls', '/m'), 'hard');
    assert.equal(await lab.ok('run', '--rm', '--mount', 'src=given,dst=/m,subpath=file', 'v', 'cat', '/m'), 'given');
    assert.match(
      await lab.fails('run', '--rm', '--mount', 'src=given,dst=/m,subpath=nope', 'v', 'true'),
      /no such file or directory in it/,
    );
    // On top of each other, whatever the order in which they are given.
    await lab.ok('run', '--rm', '-v', 'b:/a/b', '-v', 'a:/a', 'v', 'touch', '/a/b/f');
    assert.deepEqual([readdirSync(lab.volume('a', '_data')), readdirSync(lab.volume('b', '_data'))], [['b'], ['f']]);
    assert.match(
      await lab.fails('run', '--rm', '-v', 'a:/x', '-v', 'b:/x/', 'v', 'true'),
      /two mounts want that place/,
    );
    assert.match(await lab.fails('run', '--rm', '-v', '/etc:/x:U', 'v', 'true'), /Cannot use option U for \/etc/);
    await lab.ok('volume', 'rm', '-a');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('a hostile volume: links that lead out of it are nowhere followed on the machine', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    const outside = join(lab.dir, 'outside');
    mkdirSync(outside, { mode: 0o700 });
    writeFileSync(join(outside, 'secret'), 'secret', { mode: 0o600 });
    const links = `ln -s ${outside} /data/abs; ln -s ../../../../../..${outside} /data/rel; ln -s . /data/loop; mkfifo /data/pipe`;
    await lab.ok('run', '--rm', '-v', 'bad:/data', 'v', 'sh', '-c', links);
    for (const path of ['abs', 'rel', 'abs/secret', 'rel/secret', 'loop/abs', 'out'])
      assert.match(
        await lab.fails('run', '--rm', '--mount', `src=bad,dst=/m,subpath=${path}`, 'v', 'ls', '/m'),
        /a link on the way leads out of it/,
        path,
      );
    assert.equal(
      await lab.ok('run', '--rm', '--mount', 'src=bad,dst=/m,subpath=loop/loop/sub', 'v', 'ls', '/m'),
      'hard',
    );
    // It became a link after the container was made: at the start, and for who copies from it.
    await lab.ok('create', '--name', 'c', '--mount', 'src=bad,dst=/m,subpath=sub', 'v', 'ls', '/m');
    await lab.ok(
      'run',
      '--rm',
      '-v',
      'bad:/data',
      'v',
      'sh',
      '-c',
      `mv /data/sub /data/was; ln -s ${outside} /data/sub`,
    );
    assert.match(await lab.fails('start', '-a', 'c'), /a link on the way leads out of it/);
    assert.match(await lab.fails('cp', 'c:/m/secret', join(lab.dir, 'stolen')), /a link on the way leads out of it/);
    // While somebody swaps it: what was found is mounted, or nothing.
    const swap = `mkdir -p /data/a; echo in >/data/a/mark; ln -s ${outside} /data/b; while :; do mv /data/a /data/s; mv /data/s /data/a; mv /data/b /data/s; mv /data/s /data/b; done`;
    await lab.ok('run', '-d', '--name', 'swaps', '-v', 'bad:/data', 'v', 'sh', '-c', swap);
    let mounted = 0;
    for (let tries = 0; tries < 25; tries++) {
      const { code, stdout, stderr } = await lab.tare(
        'run',
        '--rm',
        '--mount',
        'src=bad,dst=/m,subpath=s',
        'v',
        'ls',
        '/m',
      );
      if (code === 0) mounted++;
      assert.ok(code === 0 ? stdout === 'mark\n' : /leads out of it|no such file/.test(stderr), `${stdout}${stderr}`);
    }
    assert.ok(mounted < 25);
    await lab.ok('rm', '-f', '-v', '-t', '0', 'swaps');
    // Given away, exported, imported into: the links themselves.
    await lab.ok('run', '--rm', '-v', 'bad:/data:U', '-u', 'u', 'v', 'true');
    assert.deepEqual([statSync(outside).uid, statSync(join(outside, 'secret')).uid], [0, 0]);
    assert.equal(lstatSync(lab.volume('bad', '_data/abs')).uid, 1000);
    const tar = join(lab.dir, 'bad.tar');
    await lab.ok('volume', 'export', '-o', tar, 'bad');
    assert.ok(!readFileSync(tar).includes('secret\0'), 'nothing outside is read');
    const evil = join(lab.dir, 'evil');
    mkdirSync(join(evil, 'abs'), { recursive: true });
    writeFileSync(join(evil, 'abs/new'), 'x');
    execFileSync('tar', ['-C', evil, '-cf', join(lab.dir, 'evil.tar'), 'abs/new']);
    await lab.tare('volume', 'import', 'bad', join(lab.dir, 'evil.tar'));
    assert.deepEqual(readdirSync(outside), ['secret']);
    await lab.ok('rm', '-v', 'c');
    await lab.ok('volume', 'rm', 'bad');
    assert.deepEqual(readdirSync(outside), ['secret'], 'a removal follows none either');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('who uses a volume keeps it; a removal and a creation at once: one of them wins', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    await lab.ok('run', '-d', '--name', 'c', '-v', 'data:/data', 'v', 'sleep', '1000');
    assert.match(await lab.fails('volume', 'rm', 'data'), /container c uses it; remove it first/);
    await lab.ok('stop', '-t', '0', 'c');
    assert.match(await lab.fails('volume', 'rm', 'data'), /container c uses it/);
    assert.equal(await lab.ok('ps', '-a', '--filter', 'volume=data', '--format', '{{.Names}} {{.Mounts}}'), 'c data');
    assert.equal(await lab.ok('volume', 'prune', '-af'), '');
    await lab.ok('volume', 'rm', '-f', 'data');
    assert.equal(await lab.ok('ps', '-aq'), '', 'with --force its containers went first');
    for (let round = 0; round < 6; round++) {
      const [created, removed] = await Promise.all([
        lab.tare('create', '--name', 'r', '-v', 'race:/data', 'v', 'true'),
        (async () => {
          await sleep(10 * round);
          return removeVolume(lab.anotherEngine(), 'race').then(
            () => true,
            (error: unknown) => error,
          );
        })(),
      ]);
      assert.equal(created.code, 0, created.stderr);
      assert.ok(
        removed === true || isKind(removed, 'not-found') || isKind(removed, 'failed-precondition'),
        String(removed),
      );
      assert.equal(await lab.ok('start', '-a', 'r'), '', 'a container that was made has its volume');
      assert.ok(existsSync(lab.volume('race', '_data/file')));
      await lab.ok('rm', 'r');
      if (round % 2 === 1) await lab.ok('volume', 'rm', 'race');
    }
    await lab.ok('volume', 'rm', '-a');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('--volumes-from: names, anonymous ones and binds; an anonymous one that another container uses stays as long', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    const host = join(lab.dir, 'host');
    mkdirSync(host);
    writeFileSync(join(host, 'f'), 'host');
    await lab.ok('create', '--name', 'a', '-v', `${host}:/h:ro`, '-v', 'named:/n', '--tmpfs', '/t', 'v', 'true');
    const [anonymous = ''] = (await lab.volumes()).filter((name) => name !== 'named');
    const script = 'cat /h/f /data/file && touch /n/x && ! touch /h/x 2>/dev/null';
    assert.equal(await lab.ok('run', '--rm', '--volumes-from', 'a', 'v', 'sh', '-c', script), 'hostgiven');
    const { stderr } = await lab.tare('run', '--rm', '--volumes-from', 'a:ro', 'v', 'touch', '/n/y');
    assert.match(stderr, /Read-only/);
    assert.deepEqual((await lab.volumes()).sort(), [anonymous, 'named'].sort(), 'no other was made for /data');
    await lab.ok('create', '--name', 'b', '--volumes-from', 'a:z', '-v', 'other:/n', 'v', 'ls', '/n');
    await lab.ok('rm', '-v', 'a');
    assert.ok((await lab.volumes()).includes(anonymous), 'b uses it');
    assert.equal(await lab.ok('start', '-a', 'b'), '');
    await lab.ok('container', 'clone', 'b', 'c');
    await lab.ok('rm', '-v', 'b', 'c');
    assert.match(await lab.fails('run', '--volumes-from', 'a', 'v', 'true'), /no such container/);
    assert.match(await lab.fails('create', '--volumes-from', 'x:up', 'v', 'true'), /unknown option up/);
    await lab.ok('volume', 'prune', '-af');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('images as mounts: read-only, or with a layer that is thrown away; the image stays as long', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    await lab.pull('other', {}, [{ name: 'only', content: 'other' }]);
    const image = 'type=image,src=other,dst=/i';
    assert.equal(await lab.ok('run', '--rm', '--mount', image, 'v', 'cat', '/i/only'), 'other');
    assert.match((await lab.tare('run', '--rm', '--mount', image, 'v', 'touch', '/i/x')).stderr, /Read-only/);
    const part = (path: string): readonly string[] => [
      'run',
      '--rm',
      '--mount',
      `${image},subpath=${path}`,
      'v',
      'ls',
      '/i',
    ];
    if (takesParts) {
      assert.equal(await lab.ok(...part('data/sub')), 'hard');
      assert.match(await lab.fails(...part('out')), /leads out of it/);
    } else assert.match(await lab.fails(...part('data/sub')), /this kernel cannot take a part .* mount all of it/);
    await lab.ok(
      'create',
      '--name',
      'c',
      '--mount',
      `${image},rw`,
      '--mount',
      'type=image,src=v,dst=/j',
      'v',
      'sh',
      '-c',
      'echo x >>/i/new; cat /i/new; ls /j/data',
    );
    assert.equal(await lab.ok('start', '-a', 'c'), 'x\nfile\nout\nsub\nup');
    assert.match(await lab.ok('start', '-a', 'c'), /^x\nx\n/);
    await lab.ok('cp', 'c:/i/new', join(lab.dir, 'new'));
    assert.equal(readFileSync(join(lab.dir, 'new'), 'utf8'), 'x\nx\n');
    assert.match(await lab.fails('rmi', 'other'), /uses it/);
    assert.equal(await lab.ok('ps', '-aq', '--external'), await lab.ok('ps', '-aq'));
    assert.match(
      await lab.fails('run', '--rm', '--mount', 'type=image,src=none,dst=/i', 'v', 'true'),
      /no such image; pull it first/,
    );
    await lab.ok('rm', '-v', 'c');
    await lab.ok('rmi', 'other');
    const store = await lab.anotherEngine().store();
    assert.deepEqual(store.containers(), []);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('driver options: tmpfs, bind and disks are mounted for the container alone; what cannot be mounted says why', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    const host = join(lab.dir, 'host');
    mkdirSync(join(host, 'sub'), { recursive: true });
    chmodSync(host, 0o755);
    writeFileSync(join(host, 'sub/f'), 'host');
    const create = (name: string, ...options: string[]): Promise<string> =>
      lab.ok('volume', 'create', ...options.flatMap((option) => ['-o', option]), name);
    await create('t', 'type=tmpfs', 'o=size=1m,mode=1770,uid=5,noexec');
    const line = await lab.ok(
      'run',
      '--rm',
      '-v',
      't:/t',
      'v',
      'sh',
      '-c',
      'touch /t/f; mount | grep " /t "; stat -c %a:%u /t',
    );
    assert.match(line, /^tmpfs on \/t type tmpfs \(rw,nosuid,nodev,noexec,relatime,size=1024k,.*\)\n1770:5$/);
    assert.equal(await lab.ok('run', '--rm', '-v', 't:/t', 'v', 'ls', '/t'), '', 'another start has another one');
    await create('b', 'type=none', `device=${host}`, 'o=bind,ro');
    const bound = await lab.tare('run', '--rm', '-v', 'b:/b', 'v', 'sh', '-c', 'cat /b/sub/f; touch /b/x');
    assert.equal(bound.stdout, 'host');
    assert.match(bound.stderr, /Read-only/);
    await lab.ok('create', '--name', 'c', '-v', 'b:/b', 'v', 'true');
    await lab.ok('cp', 'c:/b/sub/f', join(lab.dir, 'copy'));
    assert.match(await lab.fails('cp', join(lab.dir, 'copy'), 'c:/b/new'), /read-only/);
    await lab.ok('rm', 'c');
    await create('gone', 'type=none', `device=${host}/nope`, 'o=bind');
    assert.match(
      await lab.fails('run', '--rm', '-v', 'gone:/b', 'v', 'true'),
      /^Error: Cannot mount volume gone \(.*nope\): .*ENOENT/,
    );
    await create('disk', 'type=ext4', 'device=/dev/nope');
    assert.match(
      await lab.fails('run', '--rm', '-v', 'disk:/b', 'v', 'true'),
      /^Error: Cannot mount volume disk \(ext4 of \/dev\/nope\): /,
    );
    await create('server', 'type=nfs', 'device=nosuch.invalid:/x');
    assert.match(
      await lab.fails('run', '--rm', '-v', 'server:/b', 'v', 'true'),
      /Cannot mount volume server \(nfs of nosuch.invalid:\/x\): find server nosuch.invalid/,
    );
    await create('odd', 'type=nosuchfs', 'device=x');
    assert.match(
      await lab.fails('run', '--rm', '-v', 'odd:/b', 'v', 'true'),
      /this kernel has no file system nosuchfs$/,
    );
    assert.equal(
      await lab.ok(
        'run',
        '--rm',
        '--mount',
        'src=new,dst=/b,"volume-opt=o=mode=700",volume-opt=type=tmpfs,volume-label=k=v',
        'v',
        'stat',
        '-c',
        '%a',
        '/b',
      ),
      '700',
    );
    assert.equal(await lab.ok('volume', 'inspect', '-f', '{{.Options.type}} {{.Labels.k}}', 'new'), 'tmpfs v');
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(lab.dir), 'nothing is in a table of the machine');
    await lab.ok('volume', 'rm', '-a');
    assert.deepEqual(readdirSync(host), ['sub']);
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('export and import: the same files, owners and links; on top of what is there; a damaged tar is refused', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    await lab.ok('run', '--rm', '-v', 'one:/data', 'v', 'true');
    const tar = join(lab.dir, 'one.tar');
    await lab.ok('volume', 'export', '-o', tar, 'one');
    await lab.ok('volume', 'create', 'two');
    await lab.ok('volume', 'import', 'two', tar);
    assert.equal(await lab.ok('run', '--rm', '-v', 'two:/data', 'v', 'sh', '-c', look), seen);
    writeFileSync(lab.volume('two', '_data/mine'), 'mine');
    writeFileSync(lab.volume('two', '_data/file'), 'changed');
    await lab.ok('volume', 'import', 'two', tar);
    assert.equal(readFileSync(lab.volume('two', '_data/mine'), 'utf8'), 'mine');
    assert.equal(readFileSync(lab.volume('two', '_data/file'), 'utf8'), 'given');
    writeFileSync(join(lab.dir, 'cut.tar'), readFileSync(tar).subarray(0, 700));
    assert.match(await lab.fails('volume', 'import', 'two', join(lab.dir, 'cut.tar')), /cut short|ends|tar/);
    assert.match(await lab.fails('volume', 'import', 'nope', tar), /no such volume/);
    assert.match(await lab.fails('volume', 'export', '-o', join(lab.dir, 'x'), 'nope'), /no such volume/);
    assert.ok(!existsSync(join(lab.dir, 'x')));
    await lab.ok('volume', 'rm', '-a');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('system df and system prune know volumes', async () => {
    await using lab = new VolumeLab();
    await lab.pull();
    await lab.ok('create', '--name', 'c', '-v', 'named:/n', 'v', 'true');
    const df = await lab.ok('system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}');
    assert.match(df, /^Local Volumes 2 2 5B$/m);
    assert.match(await lab.ok('system', 'df', '-v'), /named +1 +0B/);
    await lab.ok('system', 'prune', '-f');
    assert.equal((await lab.volumes()).length, 2);
    assert.match(await lab.ok('system', 'prune', '-f', '--volumes'), /^Deleted Volumes:\n[0-9a-f]{64}\n/);
    assert.deepEqual(await lab.volumes(), ['named']);
    assert.match(await lab.ok('system', 'prune', '-af', '--volumes'), /named/);
    assert.deepEqual(listVolumes(lab.engine), []);
    assert.deepEqual(await lab.leftovers(), []);
  });
});
