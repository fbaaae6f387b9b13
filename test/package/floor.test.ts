import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { needs } from '../support/needs.ts';
import { root } from './lab.ts';

/** The oldest glibc that the command and the addon run on: Node's own (RHEL 8, Debian 10). Documented in docs/how-to/install.md. */
const FLOOR = '2.28';
const arm64 = join(root, '.cache/native/linux-arm64');

/** The newest version of glibc's that an ELF file asks for. */
function newestGlibc(path: string): string {
  const { stdout, status } = spawnSync('objdump', ['-T', path], { encoding: 'utf8', maxBuffer: 64 << 20 });
  // Debian's objdump knows its own machine only.
  const cross =
    status === 0 ? stdout : spawnSync('aarch64-linux-gnu-objdump', ['-T', path], { encoding: 'utf8' }).stdout;
  const versions = [...cross.matchAll(/\(?GLIBC_([\d.]+)\)? /g)].map(([, version = '']) => version);
  assert.ok(versions.length > 20, `${path} asks for ${versions.length} symbols`);
  return versions.toSorted(compare).at(-1) ?? '';
}

function compare(a: string, b: string): number {
  const [x, y] = [a, b].map((version) => version.split('.').map(Number));
  return (x?.[0] ?? 0) - (y?.[0] ?? 0) || (x?.[1] ?? 0) - (y?.[1] ?? 0);
}

/** Libraries that the loader would look for. */
function needed(path: string): string[] {
  const { stdout } = spawnSync('readelf', ['-d', path], { encoding: 'utf8' });
  return [...stdout.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(([, name = '']) => name);
}

describe('native parts run where Node runs', { skip: needs.program('objdump', 'aarch64-linux-gnu-gcc') }, () => {
  before(() => {
    const build = [join(root, 'tools/build.ts'), '--native', '--target', 'arm64', '--into', arm64];
    assert.equal(spawnSync(process.execPath, build, { stdio: 'inherit' }).status, 0);
  });

  it(`the addon asks for no glibc newer than ${FLOOR}`, () => {
    for (const addon of [join(root, 'build/tare.node'), join(arm64, 'build/tare.node')])
      assert.ok(compare(newestGlibc(addon), FLOOR) <= 0, `${addon} needs glibc ${newestGlibc(addon)}`);
  });

  it('the pinned Node asks for no older one: nothing would be gained by a lower floor', () => {
    assert.equal(newestGlibc(process.execPath), FLOOR);
    assert.ok(dirname(process.execPath).startsWith(root));
  });

  it('Node asks libatomic for the one function that its package brings', () => {
    const { stdout } = spawnSync('objdump', ['-T', process.execPath], { encoding: 'utf8', maxBuffer: 64 << 20 });
    const asked = [...stdout.matchAll(/\(LIBATOMIC_[\d.]+\)\s+(\w+)$/gm)].map(([, name]) => name);
    assert.deepEqual(asked, ['__atomic_compare_exchange']);
    const others = needed(process.execPath).filter(
      (name) => !/^(lib(c|m|dl|pthread|gcc_s|stdc\+\+)\.so|ld-linux)/.test(name),
    );
    assert.deepEqual(others, ['libatomic.so.1']);
  });

  it('launcher and helper need no library at all', () => {
    for (const dir of [root, arm64])
      for (const program of ['bin/tare', 'build/tare-helper', 'build/tare-network'])
        assert.deepEqual(needed(join(dir, program)), []);
    assert.ok(needed(join(root, 'build/tare.node')).every((name) => /^(libc\.so\.6|ld-linux-.*)$/.test(name)));
  });
});
