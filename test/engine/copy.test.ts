/** `cp`: docker's rules, both ways, on containers that run and that do not; and containers that fight back. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { buffer } from 'node:stream/consumers';
import { TareError } from '../../src/base/errors.ts';
import {
  copyFiles,
  copyIn,
  copyOut,
  createContainer,
  type CopyOptions,
  exportContainer,
  pullImage,
  removeContainer,
  startContainer,
  stopContainer,
} from '../../src/engine/mod.ts';
import { canary } from '../../src/archive/_hostile.suite.ts';
import { makeTar } from '../../src/archive/_tar.suite.ts';
import { busyboxImage, noBusybox } from '../support/images.ts';
import { canRun, clear, Lab, outcome, until } from './lab.ts';

const host = (path: string) => ({ kind: 'host', path }) as const;
const box = (path: string, container = 'box') => ({ kind: 'container', container, path }) as const;

/** All that is below a directory, with contents and what links say. */
function tree(dir: string, below = ''): string[] {
  return readdirSync(join(dir, below))
    .flatMap((entry) => {
      const name = below === '' ? entry : `${below}/${entry}`;
      const stat = lstatSync(join(dir, name));
      if (stat.isSymbolicLink()) return [`${name} -> ${readlinkSync(join(dir, name))}`];
      return stat.isDirectory()
        ? [`${name}/`, ...tree(dir, name)]
        : [`${name}=${readFileSync(join(dir, name), 'utf8')}`];
    })
    .sort();
}

/** Files to copy, in a new directory of the lab. */
function source(lab: Lab): string {
  const dir = mkdtempSync(join(lab.dir, 'source-'));
  mkdirSync(join(dir, 'dir/sub'), { recursive: true });
  writeFileSync(join(dir, 'dir/a'), 'A');
  writeFileSync(join(dir, 'dir/sub/b'), 'B', { mode: 0o640 });
  symlinkSync('a', join(dir, 'dir/l'));
  symlinkSync('dir', join(dir, 'dirlink'));
  symlinkSync('dir/a', join(dir, 'filelink'));
  writeFileSync(join(dir, 'file'), 'F');
  return dir;
}

/** What is at the destination before, and how to get there: source, destination, and the result below it or the error. */
const rules: readonly (readonly [
  from: string,
  to: string,
  result: readonly string[] | RegExp,
  options?: CopyOptions,
])[] = [
  ['file', 'new', ['new=F']],
  ['file', 'new/', /the directory does not exist/],
  ['file', 'none/new', /does not exist/],
  ['file', 'old', ['old=F']],
  ['file', 'old/', /no directory/],
  ['file', 'there', ['there/file=F']],
  ['file', 'there/', ['there/file=F']],
  ['file', 'there/.', ['there/file=F']],
  ['file', 'there/x', ['there/x=F']],
  ['file', 'full', /Cannot write file "sub": a directory is in its place/],
  ['file', 'to-old', ['old=F', 'to-old -> old']],
  ['file', 'to-there', ['there/file=F', 'to-there -> there']],
  ['file', 'to-nothing', ['nothing=F', 'to-nothing -> nothing']],
  ['file/', 'new', /no directory/],
  ['nope', 'new', /no such file/],
  ['dir', 'new', ['new/', 'new/a=A', 'new/l -> a', 'new/sub/', 'new/sub/b=B']],
  ['dir', 'new/', ['new/', 'new/a=A', 'new/l -> a', 'new/sub/', 'new/sub/b=B']],
  ['dir/.', 'new', ['new/', 'new/a=A', 'new/l -> a', 'new/sub/', 'new/sub/b=B']],
  ['dir', 'there', ['there/dir/', 'there/dir/a=A', 'there/dir/l -> a', 'there/dir/sub/', 'there/dir/sub/b=B']],
  ['dir/', 'there', ['there/dir/', 'there/dir/a=A', 'there/dir/l -> a', 'there/dir/sub/', 'there/dir/sub/b=B']],
  ['dir/.', 'there', ['there/a=A', 'there/l -> a', 'there/sub/', 'there/sub/b=B']],
  ['dir/sub/..', 'there', ['there/a=A', 'there/l -> a', 'there/sub/', 'there/sub/b=B']],
  ['dir', 'old', /a file is there/],
  ['dir', 'none/new', /does not exist/],
  ['filelink', 'new', ['new -> dir/a']],
  ['filelink', 'new', ['new=A'], { followLink: true }],
  ['dirlink', 'new', ['new -> dir']],
  [
    'dirlink/',
    'there',
    ['there/dirlink/', 'there/dirlink/a=A', 'there/dirlink/l -> a', 'there/dirlink/sub/', 'there/dirlink/sub/b=B'],
  ],
  ['dirlink/.', 'there', ['there/a=A', 'there/l -> a', 'there/sub/', 'there/sub/b=B']],
  ['sub-file', 'full', ['full/sub=x'], { overwrite: true }],
];

/** The destination of every rule. */
function before(dir: string): void {
  mkdirSync(join(dir, 'there'), { recursive: true });
  mkdirSync(join(dir, 'full/sub/deep'), { recursive: true });
  writeFileSync(join(dir, 'old'), 'OLD');
  symlinkSync('old', join(dir, 'to-old'));
  symlinkSync('there', join(dir, 'to-there'));
  symlinkSync('nothing', join(dir, 'to-nothing'));
}

async function checkRules(lab: Lab, way: 'in' | 'out', running: boolean): Promise<void> {
  for (const [from, to, result, options = {}] of rules) {
    const what = `${way} ${running ? 'running' : 'stopped'}: ${from} to ${to}`;
    const here = source(lab);
    writeFileSync(join(here, 'sub-file'), 'x');
    const there = mkdtempSync(join(lab.dir, 'target-'));
    before(there);
    // What the container has is bound there, so that it can be looked at from outside.
    const name = from === 'file' && to === 'full' ? 'sub' : from === 'sub-file' ? 'sub' : undefined;
    if (name !== undefined) writeFileSync(join(here, name), from === 'file' ? 'F' : 'x');
    const first = name ?? from;
    const [source_, target] =
      way === 'in'
        ? [host(`${here}/${first}`), box(`/lab/${there.slice(lab.dir.length + 1)}/${to}`)]
        : [box(`/lab/${here.slice(lab.dir.length + 1)}/${first}`), host(`${there}/${to}`)];
    const old = tree(there);
    const copying = copyFiles(lab.engine, source_, target, options);
    if (result instanceof RegExp) {
      await assert.rejects(copying, (error) => {
        assert.ok(error instanceof TareError, String(error));
        assert.match(error.message, result, what);
        return true;
      });
      assert.deepEqual(tree(there), old, what);
      continue;
    }
    await copying;
    const changed = tree(there).filter((line) => !old.includes(line) || result.includes(line));
    assert.deepEqual(changed, [...result].sort(), what);
  }
}

describe('cp', { skip: canRun, concurrency: 1, timeout: 240_000 }, () => {
  test('docker’s rules, both ways, running and stopped, in a bind mount', async () => {
    await using lab = new Lab();
    const mounts = [{ type: 'bind', source: lab.dir, destination: '/lab', readOnly: false }] as const;
    await lab.detached(['sleep', '1000'], { name: 'box', mounts });
    await checkRules(lab, 'in', true);
    await checkRules(lab, 'out', true);
    await stopContainer(lab.engine, 'box', { timeoutSeconds: 0 });
    await checkRules(lab, 'in', false);
    await checkRules(lab, 'out', false);
  });

  test('the container’s own file system: what goes in comes out, running, stopped and only created', async () => {
    await using lab = new Lab();
    const here = source(lab);
    await createContainer(lab.engine, { source: lab.source, name: 'box', argv: ['sleep', '1000'] });
    for (const state of ['created', 'running', 'exited']) {
      if (state === 'running') (await startContainer(lab.engine, 'box', { attach: false, stdin: false })).close();
      if (state === 'exited') await stopContainer(lab.engine, 'box', { timeoutSeconds: 0 });
      await copyFiles(lab.engine, host(`${here}/dir`), box(`/tmp/${state}`));
      const out = mkdtempSync(join(lab.dir, 'out-'));
      await copyFiles(lab.engine, box(`/tmp/${state}/.`), host(out));
      assert.deepEqual(tree(out), tree(join(here, 'dir')), state);
      const again = await buffer(copyOut(lab.engine, 'box', `/tmp/${state}`));
      const listed = spawnSync('tar', ['-t'], { input: again, encoding: 'utf8' }).stdout;
      assert.equal(listed, `${state}/\n${state}/a\n${state}/l\n${state}/sub/\n${state}/sub/b\n`);
    }
    // Nothing of it holds the container.
    await removeContainer(lab.engine, 'box');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('owners: the container’s user, on the machine who copies; --archive and streams keep them', async () => {
    await using lab = new Lab();
    const here = source(lab);
    spawnSync('chown', ['-R', '7:8', `${here}/dir`]);
    spawnSync('chmod', ['4755', `${here}/dir/a`]);
    await lab.detached(['sleep', '1000'], { name: 'box', user: 'user' });
    const stat = async (path: string): Promise<string> => {
      const dir = mkdtempSync(join(lab.dir, 'stat-'));
      await copyFiles(lab.engine, box(path), host(`${dir}/x`), { archive: true });
      const { uid, gid, mode } = lstatSync(`${dir}/x`);
      return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
    };
    await copyFiles(lab.engine, host(`${here}/dir`), box('/tmp/plain'));
    await copyFiles(lab.engine, host(`${here}/dir`), box('/tmp/kept'), { archive: true });
    await copyIn(lab.engine, 'box', '/tmp', copyOut(lab.engine, 'box', '/tmp/kept/a'));
    assert.deepEqual(
      [await stat('/tmp/plain/a'), await stat('/tmp/kept/a'), await stat('/tmp/a'), await stat('/tmp/plain/sub/b')],
      ['1000:1000 755', '7:8 4755', '7:8 4755', '1000:1000 640'],
    );
    const out = mkdtempSync(join(lab.dir, 'out-'));
    await copyFiles(lab.engine, box('/tmp/kept/a'), host(out), { hostOwner: { uid: 12, gid: 34 } });
    const { uid, gid, mode } = lstatSync(`${out}/a`);
    assert.deepEqual([uid, gid, mode & 0o7777], [12, 34, 0o755]);
  });

  test('mounts: volumes and tmpfs as the container sees them; read-only ones and mounted files are refused', async () => {
    await using lab = new Lab();
    const here = source(lab);
    const [data, ro] = [join(lab.dir, 'data'), join(lab.dir, 'ro')];
    for (const dir of [data, ro]) mkdirSync(dir);
    writeFileSync(join(ro, 'x'), 'X');
    await lab.detached(['sh', '-c', 'echo here >/scratch/t; exec sleep 1000'], {
      name: 'box',
      mounts: [
        { type: 'bind', source: data, destination: '/data', readOnly: false },
        { type: 'bind', source: ro, destination: '/ro', readOnly: true },
        { type: 'tmpfs', destination: '/scratch', options: [] },
      ],
    });
    const cat = async (path: string): Promise<string> =>
      spawnSync('tar', ['-xO'], { input: await buffer(copyOut(lab.engine, 'box', path)), encoding: 'utf8' }).stdout;
    for (let i = 0; i < 200 && (await cat('/scratch/t').catch(() => '')) === ''; i++);
    assert.equal(await cat('/scratch/t'), 'here\n');
    assert.equal(await cat('/ro/x'), 'X');
    const all = spawnSync('tar', ['-t'], { input: await buffer(copyOut(lab.engine, 'box', '/')), encoding: 'utf8' });
    for (const name of ['./proc/\n./', './sys/\n./', './scratch/t\n', './ro/x\n', './dev/null\n'])
      assert.ok(all.stdout.includes(`\n${name}`), `${name} in a copy of all: volumes, but nothing of the kernel's`);
    for (const state of ['running', 'stopped']) {
      if (state === 'stopped') await stopContainer(lab.engine, 'box', { timeoutSeconds: 0 });
      await copyFiles(lab.engine, host(`${here}/file`), box(`/data/${state}`));
      assert.equal(readFileSync(join(data, state), 'utf8'), 'F');
      await assert.rejects(copyFiles(lab.engine, host(`${here}/file`), box('/ro')), clear('denied', /read-only|EROFS/));
      await assert.rejects(
        copyFiles(lab.engine, host(`${here}/file`), box('/etc/hosts')),
        (error) => error instanceof TareError && /mount/.test(error.message),
      );
      await assert.rejects(
        copyFiles(lab.engine, host(`${here}/file`), box('/data'), { overwrite: true }).then(() =>
          copyIn(lab.engine, 'box', '/', chunks(makeTar([{ path: 'data', kind: 'file', content: 'x' }])), {
            overwrite: true,
          }),
        ),
        TareError,
      );
      assert.ok(existsSync(join(data, state)), 'what is mounted stays');
    }
    await assert.rejects(cat('/scratch/t'), clear('failed-precondition', /while the container runs/));
    assert.equal(await cat('/ro/x'), 'X');
    assert.deepEqual(tree(ro), ['x=X']);
  });

  test('links in a container never lead out of it, running or not (CVE-2018-15664)', async () => {
    await using lab = new Lab();
    const check = canary(join(lab.dir, 'outside'));
    const secret = join(lab.dir, 'outside');
    const here = source(lab);
    await lab.detached(
      [
        'sh',
        '-c',
        `ln -s ${secret} /abs; ln -s ../../../../../../../..${secret} /rel; ln -s /proc/1/root /proc-root; ln -s /abs /chain; echo ok >/ready; exec sleep 1000`,
      ],
      { name: 'box' },
    );
    for (
      let i = 0;
      i < 500 && (await buffer(copyOut(lab.engine, 'box', '/ready')).catch(() => undefined)) === undefined;
      i++
    );
    for (const state of ['running', 'stopped']) {
      if (state === 'stopped') await stopContainer(lab.engine, 'box', { timeoutSeconds: 0 });
      for (const link of ['/abs', '/rel', '/chain', '/proc-root']) {
        for (const path of [`${link}/secret`, `${link}/.`, `${link}/new/.`])
          await assert.rejects(buffer(copyOut(lab.engine, 'box', path)), TareError, `${state} ${path}`);
        for (const path of [`${link}/secret`, `${link}/`])
          await assert.rejects(copyFiles(lab.engine, host(`${here}/file`), box(path)), TareError, `${state} ${path}`);
        await assert.rejects(
          copyIn(
            lab.engine,
            'box',
            '/',
            chunks(makeTar([{ path: `${link.slice(1)}/secret`, kind: 'file', content: 'x' }])),
          ),
          TareError,
        );
      }
    }
    check();
  });

  test('a process of the container that swaps a directory for a link while we copy gains nothing', async () => {
    await using lab = new Lab();
    const check = canary(join(lab.dir, 'outside'));
    const secret = join(lab.dir, 'outside');
    const here = source(lab);
    mkdirSync(join(here, 'dir/secret.d'));
    writeFileSync(join(here, 'dir/secret'), 'overwritten');
    await lab.detached(
      [
        'sh',
        '-c',
        `mkdir -p /d/sub; echo in >/d/a; ln -s ${secret} /l; echo ok >/ready; while :; do mv /d /x; mv /l /d; mv /d /l; mv /x /d; done 2>/dev/null`,
      ],
      { name: 'box' },
    );
    for (
      let i = 0;
      i < 500 && (await buffer(copyOut(lab.engine, 'box', '/ready')).catch(() => undefined)) === undefined;
      i++
    );
    let [read, written] = [0, 0];
    for (let round = 0; round < 60; round++) {
      const tar = await buffer(copyOut(lab.engine, 'box', '/d/.')).catch((error: unknown) => {
        assert.ok(error instanceof TareError, String(error));
        return Buffer.alloc(0);
      });
      assert.ok(!tar.includes('keep'), 'it read the machine’s file');
      if (tar.length > 0) read++;
      for (const to of ['/d', '/d/secret'])
        await copyFiles(lab.engine, host(to === '/d' ? `${here}/dir/.` : `${here}/file`), box(to), { overwrite: true })
          .then(() => written++)
          .catch((error: unknown) => assert.ok(error instanceof TareError, String(error)));
      const out = mkdtempSync(join(lab.dir, 'out-'));
      await copyFiles(lab.engine, box('/d'), host(out)).catch((error: unknown) =>
        assert.ok(error instanceof TareError),
      );
      for (const line of tree(out)) assert.ok(!line.includes('keep'), line);
    }
    assert.ok(read > 0 && written > 0, `${read} read, ${written} written`);
    check();
  });

  test('what a container puts into its own files writes nowhere but there: devices, set-id, odd names (CVE-2019-14271)', async () => {
    await using lab = new Lab();
    const check = canary(join(lab.dir, 'outside'));
    await lab.detached(
      [
        'sh',
        '-c',
        `mkdir /t; cd /t; mknod disk b 8 0 || true; ln -s ${lab.dir}/outside/secret link; echo '#!/bin/sh' >su; chmod 6755 su; touch -- '-rf' 'a
b' "$(printf 'x\\377y')"; mkdir -p /t/lib; echo nss >/t/lib/libnss_files.so.2; echo ok >/ready; exec sleep 1000`,
      ],
      { name: 'box', capAdd: ['MKNOD'] },
    );
    for (
      let i = 0;
      i < 500 && (await buffer(copyOut(lab.engine, 'box', '/ready')).catch(() => undefined)) === undefined;
      i++
    );
    const out = mkdtempSync(join(lab.dir, 'out-'));
    await copyFiles(lab.engine, box('/t'), host(out));
    await copyFiles(lab.engine, box('/t'), host(out));
    assert.ok(!existsSync(join(out, 't/disk')), 'a device of the machine');
    assert.equal(lstatSync(join(out, 't/su')).mode & 0o7777, 0o755);
    assert.ok(lstatSync(join(out, 't/link')).isSymbolicLink());
    assert.equal(readdirSync(join(out, 't'), { encoding: 'latin1' }).includes('x\xffy'), true);
    assert.ok(existsSync(join(out, 't/-rf')) && existsSync(join(out, 't/a\nb')));
    check();
  });

  test('two containers; not within one; a busy and a missing one say so; a cut archive is refused', async () => {
    await using lab = new Lab();
    const here = source(lab);
    for (const name of ['box', 'other'])
      await createContainer(lab.engine, { source: lab.source, name, argv: ['true'] });
    await copyFiles(lab.engine, host(`${here}/dir`), box('/tmp'));
    await copyFiles(lab.engine, box('/tmp/dir'), box('/tmp', 'other'));
    const out = mkdtempSync(join(lab.dir, 'out-'));
    await copyFiles(lab.engine, box('/tmp/dir/.', 'other'), host(out));
    assert.deepEqual(tree(out), tree(join(here, 'dir')));
    await assert.rejects(copyFiles(lab.engine, box('/tmp'), box('/x')), clear('unsupported', /within one container/));
    await assert.rejects(copyFiles(lab.engine, box('/x', 'none'), host(out)), clear('not-found', /no such container/));
    const tar = await buffer(copyOut(lab.engine, 'box', '/tmp/dir'));
    for (const length of [tar.length - 1024, 600, 0])
      await assert.rejects(
        copyIn(lab.engine, 'box', '/tmp', chunks(tar.subarray(0, length))),
        clear('invalid', /cut short|middle of an entry/),
      );
    await assert.rejects(copyIn(lab.engine, 'box', '/none', chunks(tar)), clear('not-found', /no such directory/));
    await assert.rejects(
      copyIn(lab.engine, 'box', '/etc/passwd', chunks(tar)),
      clear('failed-precondition', /no directory/),
    );
    // Two at a time wait for each other.
    await Promise.all([1, 2, 3].map((n) => copyFiles(lab.engine, host(`${here}/dir`), box(`/tmp/n${n}`))));
    await removeContainer(lab.engine, 'box');
    await removeContainer(lab.engine, 'other');
    assert.deepEqual(await lab.leftovers(), []);
  });

  test('masked files of a host: container are no part of any copy', async () => {
    await using lab = new Lab();
    await lab.run(['true'], { source: 'host:', name: 'box', autoRemove: false });
    await assert.rejects(buffer(copyOut(lab.engine, 'box', '/etc/shadow')), clear('failed-precondition', /hidden/));
    const listed = spawnSync('tar', ['-t'], {
      input: await buffer(copyOut(lab.engine, 'box', '/etc')),
      encoding: 'utf8',
      maxBuffer: 2 ** 26,
    });
    assert.ok(listed.stdout.includes('etc/passwd\n') && !listed.stdout.includes('etc/shadow\n'));
    for await (const bytes of exportContainer(lab.engine, 'box')) {
      assert.ok(bytes.length > 0);
      break;
    }
  });

  test(
    'killed in the middle, a copy leaves no hold on the container and no mount that counts',
    { skip: noBusybox() },
    async () => {
      await using lab = new Lab();
      await pullImage(lab.engine, (await busyboxImage()).source);
      await createContainer(lab.engine, { source: 'busybox', name: 'box', argv: ['true'] });
      const counts = join(lab.engine.storageRunRoot, 'overlay-layers/mountpoints.json');
      for (let round = 0; round < 3; round++) {
        const child = spawn(lab.options.self[0] ?? '', [...lab.options.self.slice(1), 'cp', '-', 'box:/tmp'], {
          stdio: ['pipe', 'ignore', 'ignore'],
        });
        child.stdin.on('error', () => {});
        child.stdin.write(makeTar([{ path: 'f', kind: 'file', content: 'x'.repeat(100_000) }], false));
        await until(() => existsSync(counts) && readFileSync(counts, 'utf8').length > 2, 20_000, 'it is mounted');
        child.kill('SIGKILL');
        await outcome(child);
      }
      assert.deepEqual((await lab.tare('rm', 'box')).code, 0);
      assert.equal(readFileSync(counts, 'utf8').trim(), '[]');
      assert.deepEqual(await lab.leftovers(), []);
    },
  );
});

async function* chunks(bytes: Buffer): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}
