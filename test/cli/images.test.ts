/** The verbs for images, from the command line to the store and back. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { blobsOf, buildImage, writeLayout } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { noRegistry, startRegistry } from '../support/registry.ts';
import { tarOf } from '../support/tar.ts';
import { onTerminal } from './pty.ts';
import { canRun, Lab, launcher } from './tare.ts';

const one = buildImage({
  layers: [tarOf([{ name: 'one', content: 'one' }]), tarOf([{ name: 'both', content: Buffer.alloc(100_000, 1) }])],
  config: { Labels: { app: 'one' } },
});
const two = buildImage({ layers: [tarOf([{ name: 'two', content: 'two' }])], config: { Labels: { app: 'two' } } });
const idOf = ({ config }: typeof one): string => config.descriptor.digest.slice(7);

/** A lab whose store holds `localhost/one` and `localhost/two`. */
class ImageLab extends Lab {
  readonly layout = join(this.dir, 'layout');

  constructor() {
    super();
    mkdirSync(this.layout);
    writeLayout(this.layout, [...blobsOf(one), ...blobsOf(two)], { one: one.manifest, two: two.manifest });
  }

  /** Runs a command line that must succeed. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tare(args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  async fails(expected: number, message: RegExp, ...args: string[]): Promise<void> {
    const { code, stderr } = await this.tare(args);
    assert.equal(code, expected, `tare ${args.join(' ')}: ${stderr}`);
    assert.match(stderr, message);
  }

  async filled(): Promise<this> {
    await this.ok('pull', '-q', `oci:${this.layout}:one`, `oci:${this.layout}:two`);
    return this;
  }

  /** As if the blobs had been pulled by somebody who keeps none. */
  dropKeptBlobs(): void {
    rmSync(join(this.dir, 'root/cache/blobs'), { recursive: true });
  }

  names(...args: string[]): Promise<string> {
    return this.ok('images', '--format', '{{.Repository}}:{{.Tag}}', '--sort', 'repository', ...args);
  }
}

describe('verbs for images', { skip: canRun }, () => {
  test('tag, untag, rmi and image exists keep names straight', async () => {
    using lab = await new ImageLab().filled();
    await lab.ok('tag', 'one', 'short', 'user/app', 'quay.io/x/y:1', 'docker.io/library/z');
    assert.equal(
      await lab.names(),
      [
        'docker.io/library/z:latest',
        'localhost/one:latest',
        'localhost/short:latest',
        'localhost/two:latest',
        'localhost/user/app:latest',
        'quay.io/x/y:1',
        '',
      ].join('\n'),
    );
    await lab.ok('image', 'exists', 'user/app');
    assert.equal((await lab.tare(['image', 'exists', 'nope'])).code, 1);
    // A name moves to another image.
    await lab.ok('tag', 'two', 'quay.io/x/y:1');
    assert.equal((await lab.ok('images', '-q', 'quay.io/x/y')).trim(), idOf(two).slice(0, 12));
    await lab.fails(1, /does not have that name/, 'untag', 'one', 'quay.io/x/y:1');
    await lab.ok('image', 'untag', 'one', 'z', 'user/app');
    await lab.fails(1, /no such image/, 'tag', 'nope', 'x');
    await lab.fails(1, /lower case/, 'tag', 'one', 'Big');
    await lab.fails(1, /digest follows/, 'tag', 'one', `x@sha256:${'0'.repeat(64)}`);
    assert.equal(await lab.ok('rmi', 'short'), 'Untagged: localhost/short:latest\n');
    await lab.ok('untag', 'one');
    assert.match(await lab.ok('images', '--filter', 'dangling=true'), /<none> +<none>/);
    assert.equal(await lab.ok('image', 'prune', '-f'), `${idOf(one)}\n`);
    await lab.fails(125, /use --force/, 'image', 'prune');
    await lab.fails(125, /names of images/, 'rmi', '-a', 'two');
    assert.match(await lab.ok('rmi', '-a'), new RegExp(`Untagged: quay\\.io/x/y:1\nDeleted: sha256:${idOf(two)}\n$`));
    assert.equal(await lab.ok('images', '-q'), '');
  });

  test('images filters, sorts and prints as asked', async () => {
    using lab = await new ImageLab().filled();
    assert.equal(await lab.names('--filter', 'label=app=one'), 'localhost/one:latest\n');
    assert.equal(await lab.names('--filter', 'reference=t?o'), 'localhost/two:latest\n');
    const bySize = await lab.ok('images', '--noheading', '--sort', 'size', '--no-trunc', '-q');
    assert.equal(bySize, [two, one].map((image) => `sha256:${idOf(image)}\n`).join(''));
    assert.ok(!(await lab.ok('images', '-n')).includes('REPOSITORY'));
    const [first] = JSON.parse(await lab.ok('images', '--format', 'json', 'one'));
    assert.deepEqual(
      [first.Id, first.Names, first.Digest, first.Labels, first.Containers, first.CreatedAt],
      [idOf(one), ['localhost/one:latest'], one.manifest.descriptor.digest, { app: 'one' }, 0, '2026-01-01T00:00:00Z'],
    );
    await lab.fails(125, /there is no filter x; there are dangling=/, 'images', '--filter', 'x=y');
  });

  test('history lists the steps, newest first', async () => {
    using lab = await new ImageLab().filled();
    const lines = (await lab.ok('history', '--format', '{{.ID}}|{{.CreatedBy}}|{{.Size}}', 'one')).split('\n');
    assert.deepEqual(lines, [`${idOf(one).slice(0, 12)}|layer 1|102kB`, '<missing>|layer 0|2.05kB', '']);
    const [newest, oldest] = JSON.parse(await lab.ok('history', '--format', 'json', 'one'));
    assert.deepEqual(
      [newest.id, newest.tags, newest.CreatedBy, oldest.id],
      [idOf(one), ['localhost/one:latest'], 'layer 1', '<missing>'],
    );
    assert.match(
      await lab.ok('image', 'history', '--human=false', '--no-trunc', 'one'),
      new RegExp(`^ID +CREATED +CREATED BY +SIZE +COMMENT\n${idOf(one)} +2026-01-01T00:00:00Z +layer 1 +101888`),
    );
    assert.equal(await lab.ok('history', '-q', 'two'), `${idOf(two).slice(0, 12)}\n`);
    await lab.fails(1, /no such image/, 'history', 'nope');
  });

  test('save and load: files, pipes, directories; what is refused', async () => {
    using lab = await new ImageLab().filled();
    const file = join(lab.dir, 'saved.tar');
    await lab.ok('save', '-o', file, 'one', 'two');
    const piped = await new Promise<Buffer>((resolve, reject) => {
      const child = spawn(launcher, ['save', 'one', 'two'], {
        env: { ...process.env, ...lab.env },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      const chunks: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => resolve(Buffer.concat(chunks)));
      child.on('error', reject);
    });
    assert.deepEqual(piped, readFileSync(file));
    await lab.ok('rmi', '-a');
    assert.ok(
      piped.every((byte) => byte < 128),
      'it has to pass as text',
    );
    const both = 'Loaded image: localhost/one:latest\nLoaded image: localhost/two:latest\n';
    const loaded = await lab.tare(['load', '-q'], piped.toString());
    assert.deepEqual(loaded, { code: 0, stdout: both, stderr: '' });
    const cut = await lab.tare(['load', '-q'], piped.toString().slice(0, 60_000));
    assert.deepEqual([cut.code, cut.stdout], [1, '']);
    assert.match(
      cut.stderr,
      /^Error: Cannot open image archive standard input: cannot read tar archive: it ends in the middle of an entry\n$/,
    );
    assert.equal(
      await lab.ok('load', '-i', file),
      'Loaded image: localhost/one:latest\nLoaded image: localhost/two:latest\n',
    );
    assert.equal(
      await lab.ok('load', '-i', lab.layout),
      'Loaded image: localhost/one:latest\nLoaded image: localhost/two:latest\n',
    );
    await lab.fails(
      1,
      /a oci-archive holds one|an oci-archive holds one/,
      'save',
      '--format',
      'oci-archive',
      '-o',
      file,
      'one',
      'two',
    );
    await lab.fails(1, /is a directory; name it/, 'save', '--format', 'oci-dir', 'one');
    await lab.fails(1, /no such file/, 'load', '-i', join(lab.dir, 'nowhere'));
    const empty = join(lab.dir, 'empty');
    mkdirSync(empty);
    await lab.fails(1, /no docker-archive and no OCI layout/, 'load', '-i', empty);
    await lab.fails(1, /no such image/, 'save', '-o', join(lab.dir, 'none.tar'), 'one', 'nope');
    assert.ok(!existsSync(join(lab.dir, 'none.tar')));
    assert.ok(readdirSync(lab.dir).every((name) => !name.startsWith('.tare')));
  });

  test('save refuses a terminal', { skip: needs.program('python3') }, async () => {
    using lab = await new ImageLab().filled();
    const { code, output } = await onTerminal([launcher, 'save', 'one'], [], { env: lab.env });
    assert.equal(code, 125);
    assert.match(output, /Cannot save to a terminal/);
  });

  test(
    'load and push draw bars on a terminal and keep the last state',
    { skip: needs.program('python3') },
    async () => {
      using lab = await new ImageLab().filled();
      const pushed = await onTerminal([launcher, 'push', 'one', `dir:${lab.dir}/pushed`], [], { env: lab.env });
      assert.equal(pushed.code, 0, pushed.output);
      assert.match(pushed.output, /\x1b\[2A\x1b\[J/);
      assert.match(pushed.output, /[0-9a-f]{12}: done {2}/);
      await lab.ok('rmi', 'one');
      const loaded = await onTerminal([launcher, 'load', '-i', `${lab.dir}/pushed`], [], { env: lab.env });
      assert.equal(loaded.code, 0, loaded.output);
      assert.match(loaded.output, /: done .*Loaded image: sha256:/s);
    },
  );

  test(
    'push says the digest, writes it to a file, and notes a change only where it is asked for',
    { skip: noRegistry() },
    async () => {
      using lab = await new ImageLab().filled();
      await using registry = await startRegistry();
      // The blobs were kept as they came: the image is the same there.
      const same = (await lab.ok('push', 'one', `${registry.domain}/same:1`)).trim();
      assert.equal(same, one.manifest.descriptor.digest);
      lab.dropKeptBlobs();
      await registry.stop();
      await using empty = await startRegistry();
      const name = `${empty.domain}/one:1`;
      const digest = (await lab.ok('push', 'one', name)).trim();
      assert.match(digest, /^sha256:[0-9a-f]{64}$/);
      assert.notEqual(digest, same);
      const note = await lab.tare([
        '--log-level',
        'info',
        'push',
        'one',
        name,
        '--digestfile',
        join(lab.dir, 'digest'),
      ]);
      assert.match(note.stderr, /has another digest than one/);
      assert.equal(readFileSync(join(lab.dir, 'digest'), 'utf8'), digest);
      assert.deepEqual(await lab.tare(['push', '-q', 'one', name]), { code: 0, stdout: '', stderr: '' });
      assert.match((await lab.tare(['push', 'one', name])).stderr, /: already there\n.*Writing the manifest/s);
      await lab.fails(1, /no such image/, 'push', 'nope', name);
      await lab.fails(1, /has no name that says where to/, 'push', idOf(one).slice(0, 12));
      await lab.fails(1, /the store holds the one/, 'push', '--all', 'one', name);
      await lab.fails(1, /either a tag or a digest/, 'push', 'one', `docker://${name}@sha256:${'0'.repeat(64)}`);
      await empty.stop();
      await lab.fails(1, /Cannot/, 'push', 'one', name);
    },
  );

  test('killed while it writes a layout, push leaves nothing that can be taken for an image', async () => {
    using lab = new ImageLab();
    const bytes = createHash('sha512').update('seed').digest();
    const noise = Buffer.concat(
      Array.from({ length: 600_000 }, (_, i) => createHash('md5').update(bytes).update(String(i)).digest()),
    );
    const large = buildImage({
      layers: [tarOf([{ name: 'noise', content: noise }])],
      compress: (tar) => tar,
      layerType: 'application/vnd.oci.image.layer.v1.tar',
    });
    const from = join(lab.dir, 'large');
    writeLayout(from, blobsOf(large), { x: large.manifest });
    const to = join(lab.dir, 'to');
    for (let attempt = 0; attempt < 5; attempt++) {
      const child = lab.start(['push', `oci:${from}:x`, `oci:${to}:x`]);
      const ended = new Promise((resolve) => child.on('exit', resolve));
      while (!existsSync(to) || !readdirSync(to).some((name) => name.startsWith('.tare-tmp-'))) {
        if (child.exitCode !== null) break;
        await delay(1);
      }
      child.kill('SIGKILL');
      await ended;
      if (!existsSync(join(to, 'index.json'))) continue;
      const index = JSON.parse(readFileSync(join(to, 'index.json'), 'utf8'));
      for (const { digest } of index.manifests) assert.ok(existsSync(join(to, 'blobs', digest.replace(':', '/'))));
      const blobs = join(to, 'blobs/sha256');
      for (const name of existsSync(blobs) ? readdirSync(blobs) : [])
        assert.equal(
          createHash('sha256')
            .update(readFileSync(join(blobs, name)))
            .digest('hex'),
          name,
        );
    }
    await lab.ok('push', '-q', `oci:${from}:x`, `oci:${to}:x`);
    assert.equal((await lab.ok('pull', '-q', `oci:${to}:x`)).trim(), idOf(large));
  });

  test('a damaged archive loads the images before the damage and says what is wrong', async () => {
    using lab = await new ImageLab().filled();
    const file = join(lab.dir, 'saved.tar');
    await lab.ok('save', '-q', '-o', file, 'two', 'one');
    await lab.ok('rmi', '-a');
    const bytes = readFileSync(file);
    const at = bytes.indexOf(Buffer.alloc(1000, 1));
    bytes[at + 500] = 2;
    writeFileSync(file, bytes);
    const { code, stdout, stderr } = await lab.tare(['load', '-q', '-i', file]);
    assert.equal(code, 1);
    assert.equal(stdout, 'Loaded image: localhost/two:latest\n');
    assert.match(stderr, /^Error: Cannot use .*digest/);
    assert.equal(await lab.names(), 'localhost/two:latest\n');
  });
});
