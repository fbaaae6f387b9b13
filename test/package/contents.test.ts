import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { packageProblems } from '../../tools/_package-check.ts';
import { tarballOf } from '../../tools/_tarball.ts';
import { needs } from '../support/needs.ts';
import { needsNpm, npmProgram, pack, root, run, version } from './lab.ts';
import { listPacked, readPacked } from './registry.ts';

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly os: readonly string[];
  readonly cpu?: readonly string[];
  readonly bin?: object;
  readonly scripts?: object;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const skip = needs.program('aarch64-linux-gnu-gcc');

describe('the archives that are published', { skip }, () => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'tare-contents-')));
  const archives = ['tare-', 'tare-linux-x64-', 'tare-linux-arm64-'];
  let first: Buffer[];
  let paths: string[];
  const manifests = (): PackageJson[] =>
    first.map((bytes) => JSON.parse(readPacked(bytes, 'package.json')?.toString() ?? '') as PackageJson);

  before(async () => {
    const archive = await pack(dir);
    paths = archives.map(archive);
    first = paths.map((path) => readFileSync(path));
  });
  after(() => rmSync(dir, { recursive: true }));

  it('have equal bytes when they are packed again', async () => {
    const again = await pack(join(dir, 'again'));
    archives.forEach((name, index) => assert.ok(first[index]?.equals(readFileSync(again(name))), name));
  });

  it('have one version, which the library wants exactly, and nothing that runs at installation', () => {
    const [tare, x64, arm64] = manifests();
    assert.deepEqual(
      manifests().map((manifest) => [manifest.name, manifest.version]),
      [
        ['tare', version],
        ['@tare/linux-x64', version],
        ['@tare/linux-arm64', version],
      ],
    );
    assert.deepEqual(tare?.optionalDependencies, { '@tare/linux-arm64': version, '@tare/linux-x64': version });
    const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageJson;
    for (const [manifest, arch] of [
      [x64, 'x64'],
      [arm64, 'arm64'],
    ] as const) {
      assert.deepEqual([manifest?.os, manifest?.cpu], [['linux'], [arch]]);
      assert.deepEqual(manifest?.dependencies, {
        [`@tare/node-linux-${arch}`]: optionalDependencies?.[`node-linux-${arch}`],
      });
      // A command of the same name in two packages: which one npm links is nobody's promise.
      assert.equal(manifest?.bin, undefined);
    }
    for (const { scripts, private: secret } of manifests()) assert.deepEqual([scripts, secret], [undefined, undefined]);
  });

  it('hold what package.json names, and what it takes to run', () => {
    const files = first.map((bytes) => new Map(listPacked(bytes).map((file) => [file.path, file])));
    const [library, x64, arm64] = files;
    const targets = Object.values(manifests()[0]?.exports ?? {}).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    );
    assert.ok(targets.length > 15);
    for (const target of targets) assert.ok(library?.has(target.slice(2)), target);
    assert.equal(library?.get('bin/tare')?.content.subarray(0, 10).toString(), '#!/bin/sh\n');
    assert.equal(library?.get('bin/tare')?.mode, 0o755);
    for (const path of library?.keys() ?? []) assert.doesNotMatch(path, /^dist\/(cli|bin)\/|_libseccomp|\.node$/);
    for (const [machine, native] of [
      [0x3e, x64],
      [0xb7, arm64],
    ] as const) {
      const programs = ['bin/tare', 'build/tare-helper', 'build/tare-resolver', 'build/tare-network'];
      for (const path of [...programs, 'build/tare.node']) {
        const content = native?.get(path)?.content;
        assert.equal(content?.subarray(0, 4).toString('latin1'), '\x7fELF', path);
        assert.equal(content?.readUInt16LE(18), machine, path);
      }
      for (const path of programs) assert.equal(native?.get(path)?.mode, 0o755);
      for (const path of ['dist/bin/main.cjs', 'LICENSE', 'THIRD-PARTY.md']) assert.ok(native?.has(path), path);
    }
    const bundled = (native?: ReadonlyMap<string, unknown>): string[] =>
      [...(native?.keys() ?? [])].filter((path) => path.startsWith('dist/bin/'));
    assert.ok(bundled(x64).length > 50);
    assert.deepEqual(bundled(arm64), bundled(x64));
    const cached = (native?: ReadonlyMap<string, unknown>): string[] =>
      [...(native?.keys() ?? [])].filter((path) => path.startsWith('build/code-cache/run/core-'));
    assert.equal(cached(process.arch === 'x64' ? x64 : arm64).length, 1);
    assert.equal(cached(process.arch === 'x64' ? arm64 : x64).length, 0);
  });

  it('npm has nothing to say against publishing them', { skip: needsNpm }, async () => {
    for (const path of paths) {
      const where = { cwd: dir, env: process.env };
      const { code, stderr } = await run([npmProgram, 'publish', '--dry-run', path], where);
      assert.equal(code, 0, stderr);
      const said = stderr.split('\n').filter((line) => line.startsWith('npm warn') && !line.includes('logged in'));
      assert.deepEqual(said, []);
    }
  });

  it('are the only way to publish: npm refuses the checkout', () => {
    const checkout = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageJson;
    assert.equal(checkout.private, true);
  });
});

describe('packageProblems', () => {
  const file = (path: string, content: string) => ({ path, content: Buffer.from(content), executable: false });
  const manifest = file('package.json', '{}');

  it('finds tests, sources, places of this machine, scripts and what is too large', () => {
    assert.deepEqual(packageProblems('tare', [manifest, file('a.js', 'a'), file('a.d.ts', 'a')], '/work/x'), []);
    for (const [bad, says] of [
      [file('a.test.js', ''), /of no use/],
      [file('a.ts', ''), /of no use/],
      [file('b.js', 'at /work/x/dist'), /names \/work\/x/],
      [file('package.json', '{}'), /twice/],
      [file('big', 'x'.repeat(5_000_000)), /5000002 bytes, more than 4000000/],
    ] as const) {
      const problems = packageProblems('tare', [manifest, bad], '/work/x');
      assert.equal(problems.length, 1, bad.path);
      assert.match(problems[0] ?? '', says);
    }
    const scripts = file('package.json', '{"scripts":{"postinstall":"node x"}}');
    assert.match(packageProblems('@tare/linux-x64', [scripts], '/work/x')[0] ?? '', /has scripts/);
    assert.match(packageProblems('other', [manifest], '/work/x')[0] ?? '', /more than 0/);
  });
});

describe('tarballOf', () => {
  it('does not depend on the order of the files', () => {
    const a = { path: 'a', content: Buffer.from('1'), executable: true };
    const b = { path: 'b', content: Buffer.from('2'), executable: false };
    const archive = tarballOf([b, a]);
    assert.deepEqual(archive, tarballOf([a, b]));
    assert.deepEqual(
      listPacked(archive).map(({ path, mode, content }) => [path, mode, content.toString()]),
      [
        ['a', 0o755, '1'],
        ['b', 0o644, '2'],
      ],
    );
  });
});
