/** Images between Tare, podman and skopeo in every form, both ways: what one writes the other reads, with equal digests. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { blobsOf, buildImage, buildIndex, hostArchitecture, writeLayout } from '../support/image.ts';
import { needs } from '../support/needs.ts';
import { randomLayer } from '../support/random-layer.ts';
import { startRegistry } from '../support/registry.ts';
import { tarOf } from '../support/tar.ts';
import { canRun, Lab } from '../cli/tare.ts';

const skip = canRun || needs.program('podman', 'skopeo', 'docker-registry', 'openssl');
const base = tarOf([
  { name: 'etc/', type: 'directory' },
  { name: 'etc/motd', content: 'hello' },
  { name: 'etc/copy', type: 'hardlink', link: 'etc/motd' },
  { name: 'large', content: Buffer.alloc(2_000_000, 'large ') },
]);
const layers = [base, tarOf([{ name: 'etc/.wh.motd' }, { name: 'new', content: 'n' }]), randomLayer(7)];
const image = buildImage({ layers, config: { Cmd: ['sh'], Labels: { made: 'here' } } });
const other = buildImage({ layers: [base], architecture: 's390x' });
const index = buildIndex([
  { image, architecture: hostArchitecture() },
  { image: other, architecture: 's390x' },
]);
const id = image.config.descriptor.digest.slice(7);
const digest = image.manifest.descriptor.digest;

/** Runs a program to its end and returns what it prints. */
function run(program: string, ...args: string[]): string {
  const result = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 60_000,
    killSignal: 'SIGKILL',
    maxBuffer: 2 ** 28,
  });
  assert.equal(result.status, 0, `${program} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

const skopeo = (...args: string[]): string => run('skopeo', '--insecure-policy', ...args);

/** A store that Tare and podman share, with a directory for what they exchange. */
class Shared implements Disposable {
  readonly #lab = new Lab();
  readonly dir = lowerCaseDir();

  async tare(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#lab.tare(args);
    assert.equal(code, 0, `tare ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  podman(...args: string[]): string {
    const { TARE_STORAGE_ROOT: root = '', TARE_STORAGE_RUNROOT: runRoot = '' } = this.#lab.env;
    const own = ['--tmpdir', join(this.dir, 'podman'), '--cgroup-manager', 'cgroupfs', '--events-backend', 'none'];
    return run('podman', '--root', root, '--runroot', runRoot, '--storage-driver', 'overlay', ...own, ...args);
  }

  at(name: string): string {
    return join(this.dir, name);
  }

  /** No image is left. */
  async clear(): Promise<void> {
    await this.tare('rmi', '-a', '-f');
    assert.equal(await this.tare('images', '-q'), '');
  }

  [Symbol.dispose](): void {
    this.#lab[Symbol.dispose]();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Podman 4 makes image names of paths. */
function lowerCaseDir(): string {
  const dir = `/var/tmp/tare-transports-${randomUUID()}`;
  mkdirSync(dir);
  return dir;
}

describe('images between tare, podman and skopeo', { skip }, () => {
  const temp = lowerCaseDir();
  after(() => rmSync(temp, { recursive: true, force: true }));
  const layout = join(temp, 'layout');
  writeLayout(layout, [...blobsOf(image), ...blobsOf(other), index], { image: image.manifest, index });

  test('tare pulls what skopeo copied to every transport, in every compression', async () => {
    using shared = new Shared();
    const compressions: readonly (readonly string[])[] = [
      [],
      ['--dest-compress-format', 'zstd'],
      ['--dest-compress-format', 'zstd:chunked'],
      ['--dest-decompress'],
    ];
    for (const [which, flags] of compressions.entries()) {
      for (const transport of ['oci', 'oci-archive', 'dir', 'docker-archive']) {
        if (transport === 'docker-archive' && which > 0) continue;
        // Only dir: compresses anew what comes compressed; what was plain, the others compress.
        const plain = `dir:${shared.at(`plain-${transport}-${which}`)}`;
        skopeo('copy', '-q', '--dest-decompress', `oci:${layout}:image`, plain);
        const place = `${transport}:${shared.at(`${transport}-${which}`)}`;
        const compress = which === 0 ? [] : which === 3 ? ['--dest-decompress'] : ['--dest-compress', ...flags];
        const from = which === 0 || transport !== 'dir' ? `oci:${layout}:image` : plain;
        skopeo(
          'copy',
          '-q',
          ...(transport === 'dir' ? compress : flags),
          from,
          place + (transport === 'docker-archive' ? ':x:1' : ''),
        );
        assert.equal((await shared.tare('pull', '-q', place)).trim(), id, `${place} ${flags.join(' ')}`);
        if (transport === 'dir' && which > 0 && which < 3) {
          const manifest = JSON.parse(readFileSync(join(shared.at(`${transport}-${which}`), 'manifest.json'), 'utf8'));
          assert.ok(
            manifest.layers.every((layer: { mediaType: string }) => layer.mediaType.endsWith('zstd')),
            JSON.stringify(manifest.layers),
          );
        }
        await shared.clear();
      }
    }
  });

  test('skopeo reads what tare pushed to every transport, with the digest that tare says', async () => {
    using shared = new Shared();
    for (const to of ['oci:LAYOUT:name', 'oci-archive:FILE:name', 'dir:DIR', 'docker-archive:FILE2:localhost/name:1']) {
      const place = to.replace(/LAYOUT|FILE2?|DIR/, (word) => shared.at(word));
      const said = (await shared.tare('push', `oci:${layout}:image`, place)).trim();
      if (!to.startsWith('docker-archive')) {
        assert.equal(said, digest, place);
        assert.equal(JSON.parse(skopeo('inspect', place)).Digest, digest);
      }
      assert.equal(
        JSON.parse(skopeo('inspect', '--config', '--raw', place)).rootfs.diff_ids.join(),
        image.diffIds.join(),
      );
      // Skopeo checks every layer on the way.
      skopeo('copy', '-q', place, `dir:${shared.at('checked')}`);
      rmSync(shared.at('checked'), { recursive: true });
    }
  });

  test('podman loads what tare saved, and tare what podman saved: the same images under the same names', async () => {
    using shared = new Shared();
    await shared.tare('pull', '-q', `oci:${layout}:image`);
    await shared.tare('pull', '-q', '--platform', 'linux/s390x', `oci:${layout}:index`);
    await shared.tare('tag', 'image', 'quay.io/some/name:2');
    const saves: readonly (readonly string[])[] = [
      ['--format', 'docker-archive'],
      ['--format', 'oci-archive'],
      ['--format', 'oci-dir'],
      ['--format', 'docker-dir'],
    ];
    for (const [who, whom] of [
      ['tare', 'podman'],
      ['podman', 'tare'],
      ['tare', 'tare'],
    ] as const) {
      for (const flags of saves) {
        const path = shared.at(`${who}-${whom}-${flags[1]}`);
        if (who === 'tare') await shared.tare('save', '-q', ...flags, '-o', path, 'quay.io/some/name:2');
        else shared.podman('save', '-q', ...flags, '-o', path, 'quay.io/some/name:2');
        await shared.clear();
        const said =
          whom === 'tare' ? await shared.tare('load', '-q', '-i', path) : shared.podman('load', '-q', '-i', path);
        // A docker-dir has no place for a name, and podman 4 does not read that of an oci-dir.
        const isNameless = flags[1] === 'docker-dir' || (flags[1] === 'oci-dir' && whom === 'podman');
        const name = isNameless ? /^Loaded image: / : /^Loaded image: quay\.io\/some\/name:2\n$/;
        assert.match(said, name, `${who} to ${whom}: ${flags[1]}`);
        assert.equal(
          (await shared.tare('images', '-q', '--no-trunc')).trim(),
          `sha256:${id}`,
          `${who} to ${whom}: ${flags[1]}`,
        );
        if (isNameless) await shared.tare('tag', id, 'quay.io/some/name:2');
      }
    }
  });

  test('archives of several images go both ways, through pipes and compressed', async () => {
    using shared = new Shared();
    await shared.tare('pull', '-q', `oci:${layout}:image`);
    await shared.tare('pull', '-q', '--platform', 'linux/s390x', `oci:${layout}:index`);
    const names = ['localhost/image:latest', 'localhost/index:latest'];
    const [mine, theirs] = [shared.at('mine.tar'), shared.at('theirs.tar')];
    await shared.tare('save', '-q', '-m', '-o', mine, ...names);
    shared.podman('save', '-q', '-m', '-o', theirs, ...names);
    const list = (): Promise<string> =>
      shared.tare('images', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}', '--no-trunc', '--sort', 'repository');
    const before = await list();
    await shared.clear();
    shared.podman('load', '-q', '-i', mine);
    assert.equal(await list(), before);
    await shared.clear();
    const packed = shared.at('theirs.tar.gz');
    execFileSync('sh', ['-c', 'gzip -1 < "$0" > "$1"', theirs, packed]);
    await shared.tare('load', '-q', '-i', packed);
    assert.equal(await list(), before);
    // The archive itself has shared layers once: base is the first layer of both.
    const entries = run('tar', 'tf', mine).trim().split('\n');
    assert.equal(entries.length, new Set(entries).size);
    assert.equal(entries.filter((entry) => entry.endsWith('.tar')).length, 3);
  });

  test('an image that podman pulled or committed is saved and pushed by tare', async () => {
    using shared = new Shared();
    shared.podman('pull', '-q', `oci:${layout}:image`);
    const name = shared.podman('images', '--format', '{{.Repository}}:{{.Tag}}').trim();
    const committed = 'localhost/committed:1';
    const container = shared.podman('create', name, 'sh').trim();
    shared.podman('commit', '-q', container, committed);
    shared.podman('rm', container);
    await shared.tare('push', '-q', committed, `dir:${shared.at('committed')}`);
    assert.equal(JSON.parse(skopeo('inspect', '--config', `dir:${shared.at('committed')}`)).rootfs.diff_ids.length, 4);
    const place = `oci:${shared.at('from-podman')}:x`;
    await shared.tare('push', '-q', name, place);
    skopeo('copy', '-q', place, `dir:${shared.at('checked')}`);
    await shared.tare('save', '-q', '-o', shared.at('saved.tar'), name);
    assert.equal(
      JSON.parse(run('tar', 'xOf', shared.at('saved.tar'), 'manifest.json'))[0].Layers.join(),
      image.diffIds.map((diffId) => `${diffId.slice(7)}.tar`).join(),
    );
  });

  test('what comes from a registry goes back with the same digest, in either family of manifests', async () => {
    using shared = new Shared();
    await using registry = await startRegistry();
    for (const format of ['oci', 'v2s2'] as const) {
      registry.push(`oci:${layout}:image`, `from/${format}:1`, { format });
      const from = `${registry.domain}/from/${format}:1`;
      const there = (name: string): string =>
        JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${registry.domain}/${name}`)).Digest;
      await shared.tare('pull', '-q', from);
      // Another repository: the layers are shared there, none is sent.
      const said = (await shared.tare('push', from, `${registry.domain}/to/${format}:2`)).trim();
      assert.equal(said, there(`from/${format}:1`));
      assert.equal(said, there(`to/${format}:2`));
      await shared.tare('tag', from, `${registry.domain}/from/${format}:again`);
      await shared.tare('push', '-q', '--digestfile', shared.at('digest'), `${registry.domain}/from/${format}:again`);
      assert.equal(readFileSync(shared.at('digest'), 'utf8'), said);
      await shared.clear();
    }
  });

  test('a registry that has none of the layers gets them compressed anew; podman and tare pull them', async () => {
    using shared = new Shared();
    await using registry = await startRegistry();
    await shared.tare('pull', '-q', `oci:${layout}:image`);
    for (const flags of [
      [],
      ['--compression-format', 'zstd'],
      ['--compression-format', 'gzip', '--compression-level', '1'],
      ['--format', 'v2s2'],
    ]) {
      const name = `${registry.domain}/new${flags.join('').replaceAll(/[^a-z0-9]/g, '')}:1`;
      const said = (await shared.tare('push', 'image', name, ...flags)).trim();
      assert.equal(JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${name}`)).Digest, said);
      shared.podman('pull', '-q', '--tls-verify=false', name);
      await shared.tare('rmi', name);
      await shared.tare('pull', '-q', name);
      assert.match(await shared.tare('images', '--no-trunc', name.replace(/:1$/, '')), new RegExp(`sha256:${id}`));
    }
  });

  test('--all copies an index with all its images; without it, that of this machine', async () => {
    using shared = new Shared();
    await using registry = await startRegistry();
    const name = `docker://${registry.domain}/multi:1`;
    assert.equal((await shared.tare('push', '--all', `oci:${layout}:index`, name)).trim(), index.descriptor.digest);
    assert.deepEqual(
      JSON.parse(skopeo('inspect', '--raw', '--tls-verify=false', name)),
      JSON.parse(index.bytes.toString()),
    );
    skopeo('copy', '-q', '--all', '--src-tls-verify=false', name, `dir:${shared.at('all')}`);
    assert.equal((await shared.tare('push', `dir:${shared.at('all')}`, `oci:${shared.at('one')}:x`)).trim(), digest);
  });
});
