/** The verbs that move files, as their users call them: cp, export, import, commit. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { makeTar } from '../../src/archive/_tar.suite.ts';
import { busyboxImage, noBusybox } from '../support/images.ts';
import { needs } from '../support/needs.ts';
import { onTerminal } from './pty.ts';
import { canRun, Lab, launcher } from './tare.ts';

/** A lab with the busybox image and a container `box` that has ended. */
class FilesLab extends Lab {
  async filled(): Promise<this> {
    await this.ok('pull', '-q', (await busyboxImage()).source);
    await this.ok('run', '--name', 'box', 'busybox', 'sh', '-c', 'mkdir /d; echo one >/d/a; echo two >/d/b');
    return this;
  }

  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async fails(code: number, why: RegExp, ...args: string[]): Promise<void> {
    const result = await this.tare(args);
    assert.deepEqual([result.code, result.stdout], [code, ''], `tare ${args.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, why);
    assert.match(result.stderr, /^Error: Cannot .*\n$/);
  }

  /** The bytes on standard output, with bytes on standard input. */
  async bytes(args: readonly string[], input: Uint8Array = Buffer.alloc(0)): Promise<Buffer> {
    const child = this.start(args);
    child.stdin.end(input);
    const [out, code] = await Promise.all([
      buffer(child.stdout),
      new Promise<number | null>((resolve) => child.on('exit', resolve)),
    ]);
    assert.equal(code, 0, args.join(' '));
    return out;
  }
}

const listed = (tar: Buffer): string => spawnSync('tar', ['-t'], { input: tar, encoding: 'utf8' }).stdout;

describe('verbs for files', { skip: canRun || noBusybox(), concurrency: 1 }, () => {
  test('cp: files, streams, and what is no copy at all', async () => {
    using lab = await new FilesLab().filled();
    const at = (name: string): string => join(lab.dir, name);
    await lab.ok('cp', 'box:/d', at('out'));
    assert.deepEqual([readdirSync(at('out')), readFileSync(at('out/a'), 'utf8')], [['a', 'b'], 'one\n']);
    writeFileSync(at('file'), 'F');
    assert.equal(await lab.ok('container', 'cp', '-q', at('file'), 'box:d/new'), '');
    assert.equal(listed(await lab.bytes(['cp', 'box:/d', '-'])), 'd/\nd/a\nd/b\nd/new\n');
    assert.equal(listed(await lab.bytes(['cp', 'box:/d/.', '-'])), './\n./a\n./b\n./new\n');
    await lab.bytes(['cp', '-', 'box:/tmp'], makeTar([{ path: 'x/y', kind: 'file', content: 'streamed' }]));
    assert.equal(listed(await lab.bytes(['cp', 'box:/tmp/x', '-'])), 'x/\nx/y\n');
    const relative = spawnSync(launcher, ['cp', 'box:d/a', '.'], {
      env: { ...process.env, ...lab.env },
      cwd: at('out'),
    });
    assert.equal(relative.status, 0, String(relative.stderr));
    // A colon in a name of this machine.
    mkdirSync(at('o:dd'));
    writeFileSync(at('o:dd/f'), 'f');
    await lab.ok('cp', `${at('o:dd')}/f`, 'box:/d/odd');
    await lab.fails(125, /one of the two must be in a container/, 'cp', at('file'), at('x'));
    await lab.fails(125, /one of the two must be in a container/, 'cp', '-', '-');
    await lab.fails(125, /a path must follow the colon/, 'cp', 'box:', at('x'));
    await lab.fails(125, /unknown flag; did you mean --archive/, 'cp', '--archiv', 'box:/d', at('x'));
    await lab.fails(1, /no such container/, 'cp', 'none:/d', at('x'));
    await lab.fails(1, /no such file/, 'cp', 'box:/none', at('x'));
    await lab.bytes(['cp', '-', 'box:/tmp'], makeTar([{ path: 'file/in', kind: 'file' }]));
    await lab.fails(1, /a directory is in its place; --overwrite replaces it/, 'cp', at('file'), 'box:/tmp');
    await lab.ok('cp', '--overwrite', at('file'), 'box:/tmp');
    assert.ok(!existsSync(at('x')));
  });

  test('export, import, commit: ids on standard output, files when they are complete', async () => {
    using lab = await new FilesLab().filled();
    const at = (name: string): string => join(lab.dir, name);
    await lab.ok('export', '-o', at('box.tar'), 'box');
    const tar = readFileSync(at('box.tar'));
    assert.ok((await lab.bytes(['container', 'export', 'box'])).equals(tar));
    assert.match(listed(tar), /^bin\/\n[^]*\nd\/\nd\/a\nd\/b\n/);
    const id = (await lab.ok('import', '-q', '-c', 'CMD cat /d/a', '-m', 'from a file', at('box.tar'), 'box:1')).trim();
    assert.match(id, /^sha256:[0-9a-f]{64}$/);
    assert.equal(await lab.ok('run', '--rm', 'box:1'), 'one\n');
    const piped = (await lab.bytes(['image', 'import', '-'], tar)).toString().trim();
    assert.match(piped, /^sha256:/);
    assert.equal(await lab.ok('run', '--rm', piped, 'cat', '/d/b'), 'two\n');
    const committed = await lab.ok(
      'commit',
      '-c',
      'CMD ["cat","/d/b"]',
      '--iidfile',
      at('iid'),
      '-a',
      'me',
      'box',
      'mine',
    );
    assert.equal(readFileSync(at('iid'), 'utf8'), committed.trim());
    assert.equal(await lab.ok('run', '--rm', 'mine'), 'two\n');
    assert.equal(
      await lab.ok('history', '--no-trunc', '--format', '{{.CreatedBy}}', 'mine'),
      'sh -c mkdir /d; echo one >/d/a; echo two >/d/b\nlayer 0\n',
    );
    await lab.ok('commit', '--squash', '-p=false', 'box', 'flat');
    assert.equal((await lab.ok('history', '-q', 'flat')).trim().split('\n').length, 1);
    await lab.fails(1, /no such container/, 'export', '-o', at('none.tar'), 'none');
    await lab.fails(1, /no such file/, 'import', at('none.tar'));
    await lab.fails(1, /expected one of CMD/, 'commit', '-c', 'RUN x', 'box');
    await lab.fails(125, /expected oci or docker/, 'commit', '-f', 'x', 'box');
    assert.ok(!existsSync(at('none.tar')));
    assert.ok(readdirSync(lab.dir).every((name) => !name.startsWith('.tare')));
  });

  test('a reader that leaves ends an export quietly', async () => {
    using lab = await new FilesLab().filled();
    const child = spawn('sh', ['-c', `${launcher} export box | head -c 100 | wc -c`], {
      env: { ...process.env, ...lab.env },
    });
    assert.equal((await buffer(child.stdout)).toString().trim(), '100');
  });

  test('archives are not written to a terminal, nor read from one', { skip: needs.program('python3') }, async () => {
    using lab = await new FilesLab().filled();
    for (const [args, why] of [
      [['export', 'box'], /Cannot export to a terminal/],
      [['cp', 'box:/d', '-'], /Cannot write an archive to a terminal/],
      [['cp', '-', 'box:/d'], /Cannot read an archive from a terminal/],
      [['import', '-'], /Cannot import from a terminal/],
    ] as const) {
      const { code, output } = await onTerminal([launcher, ...args], [], { env: lab.env });
      assert.equal(code, 125);
      assert.match(output, why);
    }
  });
});
